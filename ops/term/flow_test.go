package term

import (
	"strings"
	"testing"
)

func TestFlow(t *testing.T) {
	for what, tt := range map[string]struct {
		pieces []string
		want   string
	}{
		"words":             {[]string{"one two", " three fo", "ur five"}, "one two \nthree four\nfive\n"},
		"the edge":          {[]string{"0123456789 ab"}, "0123456789\nab\n"},
		"long word":         {[]string{strings.Repeat("x", 23)}, "xxxxxxxxxx\nxxxxxxxxxx\nxxx\n"},
		"Chinese":           {[]string{"你好，我是助手。", "再见"}, "你好，我是\n助手。再见\n"},
		"odd column":        {[]string{"a你好你好你好"}, "a你好你好\n你好\n"},
		"lines":             {[]string{"a\n\nb", "\n"}, "a\n\nb\n\n"},
		"control":           {[]string{"a\x1b[31mb\x07\rc\td\u009b2J"}, "a[31mbc   \nd2J\n"},
		"nothing":           {nil, "\n"},
		"combining accents": {[]string{"e\u0301e\u0301 e\u0301"}, "e\u0301e\u0301 e\u0301\n"},
	} {
		var b strings.Builder
		f := (&Screen{W: &b, Width: 10, Terminal: true}).Flow()
		for _, p := range tt.pieces {
			f.Write(p)
		}
		f.End()
		if b.String() != tt.want {
			t.Errorf("%s: %q, want %q", what, b.String(), tt.want)
		}
	}
	var b strings.Builder
	f := (&Screen{W: &b, Width: 10}).Flow()
	f.Write("as it\tcomes, whatever it is")
	f.End()
	if b.String() != "as it\tcomes, whatever it is\n" {
		t.Errorf("through a pipe: %q", b.String())
	}
}
