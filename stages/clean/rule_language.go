package clean

import (
	"unicode"

	"github.com/glmflow/glmflow/schemas"
)

// Languages of Dialogue.Lang.
const (
	langChinese = "zh"
	langEnglish = "en"
	langMixed   = "mixed"
	langOther   = "other"
)

// tagLanguage sets Lang from the scripts of the whole dialogue. It drops and
// edits nothing.
func tagLanguage(d *schemas.Dialogue) outcome {
	d.Lang = language(said(*d))
	return outcome{}
}

// language tells the language of a text by its letters. A Chinese character says
// about as much as four Latin letters; a side that says less than a fifth is an
// inlay, such as a brand's name. Latin letters with accents in more than one of
// twenty, other scripts, and kana beside Chinese characters are other languages.
func language(s string) string {
	var han, ascii, accented, other int
	for _, r := range s {
		switch {
		case !unicode.IsLetter(r):
		case unicode.Is(unicode.Han, r):
			han++
		case r < unicode.MaxASCII:
			ascii++
		case unicode.Is(unicode.Latin, r):
			accented++
		default:
			other++
		}
	}
	const letters = 4 // that say as much as a Chinese character
	latin := float64(ascii+accented) / letters
	all := float64(han) + latin + float64(other)
	switch {
	case all == 0, float64(other) > all/10, accented*20 > ascii && latin > float64(han):
		return langOther
	case latin < all/5:
		return langChinese
	case float64(han) < all/5:
		return langEnglish
	}
	return langMixed
}
