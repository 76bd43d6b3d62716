package lang

import (
	"regexp"
	"slices"
	"testing"
)

// TestVerbs: a translation takes the same arguments in the same order.
func TestVerbs(t *testing.T) {
	verb := regexp.MustCompile(`%[-+# 0]*[\d.]*[a-zA-Z%]`)
	for english, chinese := range Chinese() {
		if want, got := verb.FindAllString(english, -1), verb.FindAllString(chinese, -1); !slices.Equal(want, got) {
			t.Errorf("%q takes %q, its Chinese %q takes %q", english, want, chinese, got)
		}
		if chinese == "" {
			t.Errorf("%q has an empty translation", english)
		}
	}
}

func TestPrinter(t *testing.T) {
	for _, tc := range []struct{ lang, says, name, number, word, strange string }{
		{"en", "3 working", "en", "12,345", "running", "50%s"},
		{"zh", "处理中 3", "zh", "12,345", "进行中", "50%s"},
		{"fr", "3 working", "en", "12,345", "running", "50%s"},
	} {
		p, err := New(tc.lang)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Sprintf("%d working", 3); got != tc.says {
			t.Errorf("%s: %q, want %q", tc.lang, got, tc.says)
		}
		if got := p.Sprintf("%d", 12345); got != tc.number {
			t.Errorf("%s: %q, want %q", tc.lang, got, tc.number)
		}
		if got := p.Word("running"); got != tc.word {
			t.Errorf("%s: %q, want %q", tc.lang, got, tc.word)
		}
		if got := p.Word("50%s"); got != tc.strange {
			t.Errorf("%s: %q, want %q", tc.lang, got, tc.strange)
		}
		if p.Lang != tc.name {
			t.Errorf("%s is called %q", tc.lang, p.Lang)
		}
	}
}

func TestFromEnviron(t *testing.T) {
	for _, tc := range []struct {
		environ []string
		want    string
	}{
		{nil, "en"},
		{[]string{"LANG=zh_CN.UTF-8"}, "zh"},
		{[]string{"LANG=zh_CN.UTF-8", "LC_ALL=C"}, "en"},
		{[]string{"LANG=C", "LC_MESSAGES=zh_TW"}, "zh"},
		{[]string{"LANG=zh_CN.UTF-8", "GLMFLOW_LANG=en"}, "en"},
		{[]string{"LC_ALL=", "LANG=ZH"}, "zh"},
		{[]string{"nonsense"}, "en"},
	} {
		if got := FromEnviron(tc.environ); got != tc.want {
			t.Errorf("%q: %q, want %q", tc.environ, got, tc.want)
		}
	}
}
