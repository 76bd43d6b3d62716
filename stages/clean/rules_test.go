package clean

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/glmflow/glmflow/schemas"
)

var rewrite = flag.Bool("rewrite", false, "write the expected parts of testdata/*.txt anew")

// testdata/RULE.txt has cases for one rule, testdata/all.txt for all in order:
// the line "=== NAME", a line "role: text" for every turn (a text in double
// quotes is a Go string), the line "---", and what became of it. The cases of
// one file meet the same rule, in order.
func TestGolden(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	var covered []string
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".txt")
		covered = append(covered, name)
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			list := rules(DefaultConfig(), map[string]int64{})
			if name != "all" {
				list = slices.DeleteFunc(list, func(r rule) bool { return r.name != name })
			}
			w := newWasher(list)
			var out strings.Builder
			for _, c := range strings.Split(string(data), "=== ")[1:] {
				title, rest, _ := strings.Cut(c, "\n")
				input, want, _ := strings.Cut(rest, "---\n")
				want = strings.TrimRight(want, "\n") + "\n"
				got := show(w, parse(t, title, input))
				if !*rewrite && got != want {
					t.Errorf("%s: %s", title, cmp.Diff(want, got))
				}
				fmt.Fprintf(&out, "=== %s\n%s---\n%s\n", title, input, got)
			}
			if *rewrite {
				if err := os.WriteFile(path, []byte(strings.TrimRight(out.String(), "\n")+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	for _, r := range rules(DefaultConfig(), nil) {
		if !slices.Contains(covered, r.name) {
			t.Errorf("rule %s has no testdata/%s.txt", r.name, r.name)
		}
	}
}

func parse(t *testing.T, title, input string) schemas.Dialogue {
	d := schemas.Dialogue{ID: strings.Fields(title)[0]}
	for line := range strings.Lines(input) {
		role, text, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if !ok {
			t.Fatalf("%s: no turn: %q", title, line)
		}
		if role == "lang" {
			d.Lang = text
			continue
		}
		times := 1
		if base, n, ok := strings.Cut(role, "*"); ok { // "assistant*3" says it three times
			role = base
			times, _ = strconv.Atoi(n)
		}
		if strings.HasPrefix(text, `"`) {
			var err error
			if text, err = strconv.Unquote(text); err != nil {
				t.Fatalf("%s: %q: %v", title, line, err)
			}
		}
		role, name, _ := strings.Cut(role, "/") // "assistant/tool" calls a tool
		d.Turns = append(d.Turns, schemas.Turn{Role: role, Name: name, Content: strings.Repeat(text, times)})
	}
	return d
}

func show(w *washer, d schemas.Dialogue) string {
	if r := w.wash(&d); r != nil {
		return fmt.Sprintf("dropped by %s: %s\n", r.Rule, r.Reason)
	}
	var b strings.Builder
	if len(d.Edits) > 0 {
		fmt.Fprintf(&b, "edited by %s\n", strings.Join(d.Edits, ", "))
	}
	if d.Lang != "" {
		fmt.Fprintf(&b, "lang: %s\n", d.Lang)
	}
	for _, turn := range d.Turns {
		text := turn.Content
		if q := strconv.Quote(text); len(q) != len(text)+2 {
			text = q
		}
		role := turn.Role
		if turn.Name != "" {
			role += "/" + turn.Name
		}
		fmt.Fprintf(&b, "%s: %s\n", role, text)
	}
	return b.String()
}

// Rules keep what they promise for any dialogue: the same dialogue again gives
// the same result, a clean dialogue is left alone, and the input is not touched.
func TestRulesAreIdempotent(t *testing.T) {
	turn := rapid.Custom(func(t *rapid.T) schemas.Turn {
		return schemas.Turn{
			Role: rapid.SampledFrom([]string{"system", "user", "assistant", "assistant", "observation"}).Draw(t, "role"),
			Content: rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
				"我的手机１３８００１３８０００", "hello", "您好", "a@b.com", "\u200b订单在哪", "卡号 4539 9889 1572 0591", "ä½ å¥½", "两条\r\n消息",
			})).Draw(t, "content"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		d := schemas.Dialogue{ID: "x", Turns: rapid.SliceOfN(turn, 0, 6).Draw(t, "turns")}
		before := slices.Clone(d.Turns)
		once := d
		if r := newWasher(rules(DefaultConfig(), map[string]int64{})).wash(&once); r != nil {
			if r.Reason == "" || len(r.Sample) > maxSample {
				t.Fatalf("reject %+v", r)
			}
		} else {
			twice := once
			twice.Edits = nil
			if r := newWasher(rules(DefaultConfig(), map[string]int64{})).wash(&twice); r != nil {
				t.Fatalf("clean, then dropped: %+v\n%+v", once, r)
			}
			if diff := cmp.Diff(once.Turns, twice.Turns); diff != "" || len(twice.Edits) > 0 {
				t.Fatalf("edited again by %v: %s", twice.Edits, diff)
			}
			if len(once.Signature) == 0 {
				t.Fatal("no signature")
			}
		}
		if diff := cmp.Diff(before, d.Turns); diff != "" {
			t.Fatal("the input was changed", diff)
		}
	})
}
