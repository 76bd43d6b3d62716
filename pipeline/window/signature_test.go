package window

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files in testdata anew")

// TestSignatureGolden pins the format: signatures lie in published rows and are
// compared with those of years to come.
func TestSignatureGolden(t *testing.T) {
	texts := []string{"", "?!", "ok", "退款", "Where is my parcel? It was due on Monday.", "您好，我的订单还没有发货，请帮我查一下。", "ＡＢＣ１２３ full width"}
	var out strings.Builder
	for _, text := range texts {
		fmt.Fprintf(&out, "%q\n%08x\n", text, Signature(text))
	}
	golden(t, "signature.golden", out.String())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestSignatureIgnoresForm(t *testing.T) {
	same := [][2]string{
		{"Where is my parcel?", "where  is my\tPARCEL"},
		{"订单号：ＡＢＣ１２３", "订单号 abc123"},
		{"你好！请问退款多久到账？", "你好,请问退款多久到账"},
	}
	for _, pair := range same {
		if got := Similarity(Signature(pair[0]), Signature(pair[1])); got != 1 {
			t.Errorf("similarity of %q and %q is %v, want 1", pair[0], pair[1], got)
		}
	}
	if got := Similarity(Signature("好的"), Signature("不好")); got == 1 {
		t.Error("two short texts that differ count as the same")
	}
	if got := Similarity(nil, nil); got != 0 {
		t.Errorf("rows without signatures are alike: %v", got)
	}
}

func TestPieces(t *testing.T) {
	for in, want := range map[string][]string{
		"":        {""},
		"abc":     {"abc"},
		"退款多久啊":   {"退款多久啊"},
		"a退b款c多d": {"a退b款c", "退b款c多", "b款c多d"},
	} {
		var got []string
		for p := range pieces(in) {
			got = append(got, p)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pieces(%q) (-want +got):\n%s", in, diff)
		}
	}
}

// TestSimilarityEstimatesJaccard compares the estimate with the similarity
// counted piece by piece.
func TestSimilarityEstimatesJaccard(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[a-z退款订单物流]{3,9}`), 30, 80).Draw(t, "words")
		other := append([]string(nil), words...)
		for range rapid.IntRange(0, 12).Draw(t, "edits") {
			other[rapid.IntRange(0, len(other)-1).Draw(t, "at")] = rapid.StringMatching(`[a-z]{3,9}`).Draw(t, "word")
		}
		a, b := strings.Join(words, " "), strings.Join(other, " ")
		want := jaccard(a, b)
		got := Similarity(Signature(a), Signature(b))
		// Five standard errors of a share of 128 draws.
		if bound := 5*math.Sqrt(want*(1-want)/Permutations) + 1e-9; math.Abs(got-want) > bound {
			t.Fatalf("estimate %v, counted %v, allowed error %v", got, want, bound)
		}
	})
}

func jaccard(a, b string) float64 {
	in := map[string]int{}
	for p := range pieces(normalise(a)) {
		in[p] |= 1
	}
	for p := range pieces(normalise(b)) {
		in[p] |= 2
	}
	both := 0
	for _, v := range in {
		if v == 3 {
			both++
		}
	}
	return float64(both) / float64(len(in))
}

// TestNearMissesNone checks the pigeonhole that the number of bands rests on,
// against the comparison of a row with every other.
func TestNearMissesNone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := make([]uint32, Permutations)
		for i := range base {
			base[i] = uint32(i * 7919)
		}
		var index Near
		var rows [][]uint32
		for r := range rapid.IntRange(1, 20).Draw(t, "rows") {
			sig := append([]uint32(nil), base...)
			for _, at := range rapid.Permutation(seq(Permutations)).Draw(t, "places")[:rapid.SampledFrom([]int{0, 1, 12, 24, 25, 26, 40}).Draw(t, "changes")] {
				sig[at] = rapid.Uint32().Draw(t, "value")
			}
			want := -1
			for i, earlier := range rows {
				if agreement(sig, earlier) >= NearAgreement {
					want = i
					break
				}
			}
			id, found := index.Find(sig)
			if found != (want >= 0) || found && id != fmt.Sprint(want) {
				t.Fatalf("row %d: found %v %q, want row %d", r, found, id, want)
			}
			index.Add(fmt.Sprint(r), sig)
			rows = append(rows, sig)
		}
	})
}

func seq(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

func FuzzSignature(f *testing.F) {
	f.Add("hello")
	f.Add("\xff\xfe你")
	f.Fuzz(func(t *testing.T, text string) {
		if got := Signature(text); len(got) != Permutations {
			t.Fatalf("signature of %q has %d values", text, len(got))
		}
	})
}

func BenchmarkSignature(b *testing.B) {
	text := strings.Repeat("您好，我的订单还没有发货，请帮我查一下物流信息。", 40)
	for b.Loop() {
		Signature(text)
	}
}
