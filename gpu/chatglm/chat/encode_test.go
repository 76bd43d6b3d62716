package chat

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
)

// small returns an encoder over a vocabulary trained here.
func small(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	model, err := tokenizer.Train(slices.Values([]string{"hello there, order refund", "你好，退款 订单", "abcdefghijklmnopqrstuvwxyz"}), 330)
	if err != nil {
		t.Fatal(err)
	}
	enc, err := tokenizer.Parse(model)
	if err != nil {
		t.Fatal(err)
	}
	return enc
}

func off() *bool { no := false; return &no }

// show writes ids for reading, with the targets in brackets.
func show(enc tokenizer.Encoder, ids, labels []int32) string {
	var b strings.Builder
	for i, id := range ids {
		text := enc.Decode([]int32{id})
		switch {
		case id == tokenizer.EOS:
			text = "</s>"
		case text == "" && id > 258:
			text = "_"
		}
		text = strings.ReplaceAll(text, "\n", "⏎")
		switch labels[i] {
		case Ignore:
			b.WriteString(text)
		case id:
			b.WriteString("[" + text + "]")
		default:
			fmt.Fprintf(&b, "[%s→%d]", text, labels[i])
		}
	}
	return b.String()
}

func TestEncodeLabels(t *testing.T) {
	enc := small(t)
	tests := []struct {
		name  string
		msgs  []Message
		tools string
		o     Options
		want  string
	}{
		{"one answer", []Message{{Role: User, Content: "x"}, {Role: Assistant, Content: "y"}}, "", Options{},
			"[gMASK]sop<|user|>_⏎_x<|assistant|>[_][⏎][_][y][</s>]"},
		{"a system message is not learned", []Message{{Role: System, Content: "x"}, {Role: User}, {Role: Assistant, Content: "y"}}, "", Options{},
			"[gMASK]sop<|system|>_⏎_x<|user|>_⏎<|assistant|>[_][⏎][_][y][</s>]"},
		{"the next role ends an answer", []Message{{Role: Assistant, Content: "y"}, {Role: User, Content: "x"}}, "", Options{},
			"[gMASK]sop<|assistant|>[_][⏎][_][y][<|user|>]_⏎_x</s>"},
		{"or the end token does", []Message{{Role: Assistant, Content: "y"}, {Role: User, Content: "x"}}, "", Options{EndWithEOS: true},
			"[gMASK]sop<|assistant|>[_][⏎][_][y][<|user|>→2]_⏎_x</s>"},
		{"a flag keeps an answer out", []Message{{Role: User}, {Role: Assistant, Content: "y", Train: off()}, {Role: User}, {Role: Assistant, Content: "z"}}, "", Options{},
			"[gMASK]sop<|user|>_⏎<|assistant|>_⏎_y<|user|>_⏎<|assistant|>[_][⏎][_][z][</s>]"},
		{"a tool's name and result", []Message{{Role: User}, {Role: Assistant, Name: "t", Content: "y"}, {Role: Observation, Content: "z"}, {Role: Assistant, Content: "a"}}, "", Options{},
			"[gMASK]sop<|user|>_⏎<|assistant|>[_][t][⏎][_][y][<|observation|>]_⏎_z<|assistant|>[_][⏎][_][a][</s>]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ids, labels, truncated, err := Encode(enc, tt.msgs, tt.tools, tt.o)
			if err != nil || truncated {
				t.Fatal(truncated, err)
			}
			if got := show(enc, ids, labels); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestEncodeErrors(t *testing.T) {
	enc := small(t)
	answer := []Message{{Role: User, Content: "x"}, {Role: Assistant, Content: "y"}}
	tests := []struct {
		name  string
		msgs  []Message
		tools string
		limit int
		want  string
	}{
		{"no message", nil, "", 0, "no message"},
		{"unknown role", []Message{{Role: "tool"}}, "", 0, `message 1: role "tool" is unknown`},
		{"a name of two lines", []Message{{Role: Assistant, Name: "a\nb"}}, "", 0, "more than one line"},
		{"nothing to learn", []Message{{Role: User, Content: "x"}}, "", 0, "no assistant message"},
		{"no room", answer, "", 12, "no room"},
		{"tools are no JSON", answer, "{", 0, "tools: "},
		{"tools are no list", answer, `{"a":1}`, 0, "want a JSON list"},
		{"two lists", answer, `[1] [2]`, 0, "something follows"},
		{"an open list", answer, `[1`, 0, "tools: "},
		{"a deep list", answer, strings.Repeat("[", 1e5), 0, "nested more than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, _, err := Encode(enc, tt.msgs, tt.tools, Options{MaxLength: tt.limit})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one about %q", err, tt.want)
			}
		})
	}
}

func TestIndentTools(t *testing.T) {
	in := `[{"z":"<a> & \u4f60\u2028\"\\\/\b\f\n\u0001","a":[],"b":{},"n":[1.0,1e5,-3],"t":[true,null]}, []]`
	want := `[
    {
        "z": "<a> & 你` + "\u2028" + `\"\\/\b\f\n\u0001",
        "a": [],
        "b": {},
        "n": [
            1.0,
            100000.0,
            -3
        ],
        "t": [
            true,
            null
        ]
    },
    []
]`
	got, err := indentTools(in)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, none := range []string{"", "  ", "[]"} {
		if got, err := indentTools(none); got != "" || err != nil {
			t.Errorf("%q: %q, %v", none, got, err)
		}
	}
}

// conversations draws conversations of all roles, some of them without an answer.
func conversations() *rapid.Generator[[]Message] {
	content := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "hello", "你好👋退款", "<|user|>", " order", strings.Repeat("refund ", 30)}))
	message := rapid.Custom(func(t *rapid.T) Message {
		m := Message{Role: rapid.SampledFrom([]string{User, Assistant, Observation}).Draw(t, "role"), Content: content.Draw(t, "content")}
		if m.Role == Assistant && rapid.IntRange(0, 3).Draw(t, "flag") == 0 {
			m.Train = off()
		}
		if m.Role == Assistant {
			m.Name = rapid.SampledFrom([]string{"", "track"}).Draw(t, "name")
		}
		return m
	})
	return rapid.Custom(func(t *rapid.T) []Message {
		msgs := rapid.SliceOfN(message, 1, 8).Draw(t, "messages")
		if rapid.Bool().Draw(t, "system") {
			msgs = append([]Message{{Role: System, Content: content.Draw(t, "system text")}}, msgs...)
		}
		return msgs
	})
}

// TestTruncate holds what Encode promises of every limit.
func TestTruncate(t *testing.T) {
	enc := small(t)
	s := tokenizer.SpecialsOf(enc.Pieces())
	rapid.Check(t, func(t *rapid.T) {
		msgs := conversations().Draw(t, "conversation")
		limit := rapid.IntRange(1, 200).Draw(t, "limit")
		whole, _, _, wholeErr := Encode(enc, msgs, "", Options{})
		ids, labels, truncated, err := Encode(enc, msgs, "", Options{MaxLength: limit})
		if err != nil {
			if !errors.Is(err, ErrNoTarget) || wholeErr == nil && len(whole) <= limit {
				t.Fatalf("error %v for %d ids", err, len(whole))
			}
			return
		}
		if truncated != (len(whole) > limit) {
			t.Fatalf("truncated is %v with %d ids and a limit of %d", truncated, len(whole), limit)
		}
		if len(ids) > limit || len(ids) != len(labels) || ids[len(ids)-1] != tokenizer.EOS {
			t.Fatalf("%d ids, %d labels, the last id is %d", len(ids), len(labels), ids[len(ids)-1])
		}
		if !slices.ContainsFunc(labels, func(l int32) bool { return l != Ignore }) {
			t.Fatal("no target is left")
		}
		if truncated && labels[len(labels)-1] != tokenizer.EOS {
			t.Fatal("what was cut must end with an answer")
		}
		if !truncated && !slices.Equal(ids, whole) {
			t.Fatal("a limit that is not reached changes the ids")
		}
		if msgs[0].Role == System {
			n := 2 + len(encodedSystem(t, enc, msgs[0]))
			if !slices.Equal(ids[:n], whole[:n]) {
				t.Fatal("the system message is not whole")
			}
		}
		for i, l := range labels {
			if l != Ignore && l != ids[i] {
				t.Fatalf("label %d at id %d", l, ids[i])
			}
			if i > 0 && ids[i-1] == s.User && l != Ignore {
				t.Fatal("a user's message is learned")
			}
		}
	})
}

func encodedSystem(t *rapid.T, enc tokenizer.Encoder, m Message) []int32 {
	parts, err := encodeParts(enc, []Message{m}, "")
	if err != nil {
		t.Fatal(err)
	}
	return append(parts[0].head, parts[0].body...)
}

func TestTruncateCases(t *testing.T) {
	enc := small(t)
	long := strings.Repeat("z", 40)
	tests := []struct {
		name  string
		msgs  []Message
		limit int
		want  string
	}{
		{"whole messages from the end", []Message{{Role: User, Content: "a"}, {Role: Assistant, Content: "b"}, {Role: User, Content: "c"}, {Role: Assistant, Content: long}}, 40,
			"[gMASK]sop<|user|>_⏎_a<|assistant|>[_][⏎][_][b][</s>]"},
		{"a long answer", []Message{{Role: User, Content: "a"}, {Role: Assistant, Content: long}}, 18,
			"[gMASK]sop<|user|>_⏎_a<|assistant|>[_][⏎][_][z][z][z][z][z][z][</s>]"},
		{"a long question", []Message{{Role: User, Content: long}, {Role: Assistant, Content: "b"}}, 18,
			"[gMASK]sop<|user|>_⏎_zzzzzz<|assistant|>[_][⏎][_][b][</s>]"},
		{"both", []Message{{Role: User, Content: long}, {Role: Assistant, Content: long}}, 17,
			"[gMASK]sop<|user|>_⏎_zzz<|assistant|>[_][⏎][_][z][z][z][</s>]"},
		{"earlier messages go first", []Message{{Role: System, Content: "s"}, {Role: User, Content: long}, {Role: User, Content: "c"}, {Role: Assistant, Content: "b"}}, 20,
			"[gMASK]sop<|system|>_⏎_s<|user|>_⏎_c<|assistant|>[_][⏎][_][b][</s>]"},
		{"no half character", []Message{{Role: User}, {Role: Assistant, Content: "👋👋👋"}}, 17,
			"[gMASK]sop<|user|>_⏎<|assistant|>[_][⏎][_][\ufffd][\ufffd][\ufffd][\ufffd][</s>]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ids, labels, truncated, err := Encode(enc, tt.msgs, "", Options{MaxLength: tt.limit})
			if err != nil || !truncated {
				t.Fatal(truncated, err)
			}
			if got := show(enc, ids, labels); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestText proves the inverse: ids decode to the conversation.
func TestText(t *testing.T) {
	enc := small(t)
	rapid.Check(t, func(t *rapid.T) {
		msgs := conversations().Draw(t, "conversation")
		tools := rapid.SampledFrom([]string{"", `[{"name":"track"}]`}).Draw(t, "tools")
		ids, err := Prompt(enc, msgs, tools)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Text(msgs, tools)
		if err != nil {
			t.Fatal(err)
		}
		if got := enc.Decode(ids); got != want+"<|assistant|>" {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

func FuzzIndentTools(f *testing.F) {
	f.Add(`[{"name":"track","parameters":{"a":[],"b":{}}}, 1e5, "\u2028"]`)
	f.Fuzz(func(t *testing.T, tools string) {
		got, err := indentTools(tools)
		if err == nil && got != "" && !sameJSON(t, []byte(got), []byte(tools)) {
			t.Errorf("%q became %q", tools, got)
		}
	})
}
