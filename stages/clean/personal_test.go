package clean

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// Texts that others wrote, with the places of what is personal in them. The
// floors are what was measured: all e-mail addresses and all card numbers, and
// nothing that is neither.
func TestGeneratedTexts(t *testing.T) {
	data, err := os.ReadFile("../../../shared/data/pii/generated_small.json")
	if os.IsNotExist(err) {
		t.Skip("the shared data is absent")
	}
	if err != nil {
		t.Fatal(err)
	}
	var texts []struct {
		Text  string `json:"full_text"`
		Spans []struct {
			Type  string `json:"entity_type"`
			Value string `json:"entity_value"`
		} `json:"spans"`
	}
	if err := json.Unmarshal(data, &texts); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{"EMAIL_ADDRESS": kindEmail, "CREDIT_CARD": kindCard}
	want, got, extra := map[string]int{}, map[string]int{}, 0
	for _, x := range texts {
		masked, found := newMasker(tagsEnglish()).mask(x.Text)
		for _, s := range x.Spans {
			kind, ours := kinds[s.Type]
			if !ours {
				continue
			}
			want[kind]++
			if !strings.Contains(masked, s.Value) {
				got[kind]++
			} else {
				t.Logf("missed %s in %q", s.Value, x.Text)
			}
		}
		extra += len(found)
	}
	extra -= got[kindEmail] + got[kindCard]
	t.Logf("found %v of %v, %d others", got, want, extra)
	if got[kindEmail] < 2 || got[kindCard] < 10 || extra > 0 {
		t.Errorf("found %v of %v, and %d that are neither", got, want, extra)
	}
}

// Numbers that are nobody's must stay: the rates of chance hits over random
// numbers, with a bound well above what was measured.
func TestChanceHits(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	digits := func(n int) string {
		b := []byte{byte('1' + r.IntN(9))}
		for len(b) < n {
			b = append(b, byte('0'+r.IntN(10)))
		}
		return string(b)
	}
	const tries = 20000
	for name, c := range map[string]struct {
		number func() string
		most   int // of 20,000
	}{
		"20 digits":     {func() string { return digits(20) }, 0},
		"18 digits":     {func() string { return digits(18) }, 3},
		"19 digits":     {func() string { return digits(19) }, 0},
		"dated orders":  {func() string { return fmt.Sprintf("2024%02d%02d%s", 1+r.IntN(12), 1+r.IntN(28), digits(10)) }, 0},
		"letters first": {func() string { return "SF" + digits(12) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			hits := 0
			for range tries {
				if _, found := newMasker(tagsChinese()).mask("单号" + c.number() + "，谢谢"); len(found) > 0 {
					hits++
				}
			}
			if hits > c.most {
				t.Errorf("%d of %d, at most %d", hits, tries, c.most)
			}
		})
	}
}

// Every valid number is found in any surroundings and any spelling, and only its
// tag stands in its place.
func TestEveryValidNumberIsFound(t *testing.T) {
	fullWidth := strings.NewReplacer("0", "０", "1", "１", "2", "２", "3", "３", "4", "４", "5", "５", "6", "６", "7", "７", "8", "８", "9", "９", "@", "＠")
	rapid.Check(t, func(t *rapid.T) {
		tail := func(n int) string { return rapid.StringMatching(fmt.Sprintf("[0-9]{%d}", n)).Draw(t, "digits") }
		var value, tag string
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			value, tag = "1"+rapid.SampledFrom([]string{"38", "50", "66", "73", "88", "99"}).Draw(t, "range")+tail(8), "<手机_1>"
		case 1:
			head := rapid.SampledFrom([]string{"110105", "440305", "659001"}).Draw(t, "place") +
				fmt.Sprintf("%d%02d%02d", rapid.IntRange(1930, 2020).Draw(t, "year"), rapid.IntRange(1, 12).Draw(t, "month"), rapid.IntRange(1, 28).Draw(t, "day")) + tail(3)
			value, tag = head+string(residentCheck(head)), "<身份证_1>"
		case 2:
			head := rapid.SampledFrom([]string{"622202", "455123", "520000"}).Draw(t, "issuer") + tail(9)
			for d := range 10 {
				if v := head + fmt.Sprint(d); luhn(v) {
					value = v
				}
			}
			tag = "<银行卡_1>"
		case 3:
			value, tag = rapid.StringMatching(`[a-zA-Z0-9_]([a-zA-Z0-9._-]{0,8}[a-zA-Z0-9])?@[a-z0-9]{1,8}(\.[a-z]{2,5}){1,2}`).Draw(t, "address"), "<邮箱_1>"
		}
		before := rapid.SampledFrom([]string{"", "请打", "我的卡号是", "(", "：", "\u200b", "是 "}).Draw(t, "before")
		after := rapid.SampledFrom([]string{"", "谢谢", "。", ")", "，快点", " 好", "!"}).Draw(t, "after")
		if strings.HasPrefix(tag, "<银行卡") {
			before = "银行卡" + before
		}
		spelled := value
		if rapid.Bool().Draw(t, "full-width") {
			spelled = fullWidth.Replace(value)
		}
		got, found := newMasker(tagsChinese()).mask(before + spelled + after)
		if want := before + tag + after; got != want || len(found) != 1 {
			t.Fatalf("%q became %q, want %q", before+spelled+after, got, want)
		}
	})
}

func FuzzMask(f *testing.F) {
	f.Add("我的手机是１３８００１３８０００，邮箱a@b.cn，卡 6222 0212 3456 7890 128")
	f.Add("\xff@\u200b.中国 11010519491231002x")
	f.Fuzz(func(t *testing.T, s string) {
		m := newMasker(tagsEnglish())
		got, found := m.mask(s)
		if (got == s) != (len(found) == 0) {
			t.Errorf("%d findings, and %q became %q", len(found), s, got)
		}
		if utf8.ValidString(s) && !utf8.ValidString(got) {
			t.Errorf("%q became %q", s, got)
		}
		if again, found := newMasker(tagsEnglish()).mask(got); len(found) > 0 && utf8.ValidString(s) {
			t.Errorf("%q became %q and then %q", s, got, again)
		}
	})
}
