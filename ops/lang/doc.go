// Package lang says the product's phrases in the reader's language, English or
// Chinese. Code asks for the English phrase; chinese.go holds the translations,
// and a test finds phrases that lack one.
package lang

import (
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/message/catalog"
)

// Languages are the ones the product speaks.
func Languages() []string { return []string{"en", "zh"} }

// A Printer formats phrases, with numbers as the language writes them.
type Printer struct {
	*message.Printer
	Lang string // "en" or "zh"
}

// New returns the printer of a language: "zh", or English for anything else.
func New(lang string) (Printer, error) {
	tag, name := language.English, "en"
	if lang == "zh" {
		tag, name = language.Chinese, "zh"
	}
	c := catalog.NewBuilder(catalog.Fallback(language.English))
	for english, chinese := range Chinese() {
		if err := c.SetString(language.Chinese, english, chinese); err != nil {
			return Printer{}, err
		}
	}
	return Printer{message.NewPrinter(tag, message.Catalog(c)), name}, nil
}

// Word says a word that comes with data, and stays as it is if the catalogue
// lacks it. Unlike a phrase it is no format.
func (p Printer) Word(word string) string {
	if strings.Contains(word, "%") {
		return word
	}
	return p.Sprintf(word)
}

// FromEnviron is the language of a terminal: GLMFLOW_LANG, else the POSIX
// locale variables in their order.
func FromEnviron(environ []string) string {
	value := map[string]string{}
	for _, e := range environ {
		name, v, _ := strings.Cut(e, "=")
		value[name] = v
	}
	for _, name := range []string{"GLMFLOW_LANG", "LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := value[name]; v != "" {
			if strings.HasPrefix(strings.ToLower(v), "zh") {
				return "zh"
			}
			return "en"
		}
	}
	return "en"
}
