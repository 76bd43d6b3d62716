package chat

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
)

const shared = "../../../../shared/data/chatglm3"

// encoders returns every encoder of this build over the real vocabulary.
func encoders(t testing.TB) map[string]tokenizer.Encoder {
	t.Helper()
	if _, err := os.Stat(filepath.Join(shared, tokenizer.FileName)); err != nil {
		t.Skipf("ChatGLM3's vocabulary is not at hand: %v", err)
	}
	backends := []string{tokenizer.Go}
	if tokenizer.HasHuggingFace {
		backends = append(backends, tokenizer.HuggingFace)
	}
	encs := map[string]tokenizer.Encoder{}
	for _, b := range backends {
		enc, err := tokenizer.Open(shared, b)
		if err != nil {
			t.Fatal(err)
		}
		encs[b] = enc
	}
	return encs
}

type goldenMessage struct {
	Role, Metadata, Content string
	Tools                   json.RawMessage
}

// messages converts a golden conversation; its system message carries the tools.
func messages(in []goldenMessage) (msgs []Message, tools string) {
	for _, m := range in {
		tools += string(m.Tools)
		msgs = append(msgs, Message{Role: m.Role, Name: m.Metadata, Content: m.Content})
	}
	return msgs, tools
}

func TestGolden(t *testing.T) {
	encs := encoders(t)
	raw, err := os.ReadFile(filepath.Join(shared, "golden_tokenizer_chatglm3.json"))
	if err != nil {
		t.Skip(err)
	}
	type sample struct {
		Conversations []goldenMessage
		IDs           []int32 `json:"input_ids"`
		Labels        []int32 `json:"labels"`
	}
	var golden struct {
		Prompts []struct {
			Messages []goldenMessage
			IDs      []int32
		} `json:"chat_prompts"`
		Multiturn sample `json:"train_multiturn"`
		Notebook  sample `json:"official_notebook_sample"`
	}
	if err := json.Unmarshal(raw, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Prompts) == 0 || len(golden.Multiturn.IDs) == 0 || len(golden.Notebook.IDs) == 0 {
		t.Fatal("the golden file lacks a section")
	}
	for name, enc := range encs {
		t.Run(name, func(t *testing.T) {
			for _, c := range golden.Prompts {
				msgs, tools := messages(c.Messages)
				ids, err := Prompt(enc, msgs, tools)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(c.IDs, ids); d != "" {
					t.Errorf("prompt %v (-want +got):\n%s", msgs, d)
				}
			}
			msgs, tools := messages(golden.Multiturn.Conversations)
			check(t, enc, msgs, tools, golden.Multiturn.IDs, golden.Multiturn.Labels)

			// The notebook's sample comes as ids alone: its two messages are what
			// they decode to.
			s := tokenizer.SpecialsOf(enc.Pieces())
			ids := golden.Notebook.IDs
			at := indexOf(ids, s.Assistant)
			_, question := ParseReply(enc.Decode(ids[3:at]))
			_, answer := ParseReply(enc.Decode(ids[at+1 : indexOf(ids, tokenizer.EOS)]))
			end := indexOf(ids, tokenizer.EOS) + 1
			check(t, enc, []Message{{Role: User, Content: question}, {Role: Assistant, Content: answer}}, "",
				ids[:end], golden.Notebook.Labels[:end])
		})
	}
}

func check(t *testing.T, enc tokenizer.Encoder, msgs []Message, tools string, wantIDs, wantLabels []int32) {
	t.Helper()
	ids, labels, truncated, err := Encode(enc, msgs, tools, Options{})
	if err != nil || truncated {
		t.Fatalf("truncated %v, error %v", truncated, err)
	}
	if d := cmp.Diff(wantIDs, ids); d != "" {
		t.Errorf("ids (-want +got):\n%s", d)
	}
	if d := cmp.Diff(wantLabels, labels); d != "" {
		t.Errorf("labels (-want +got):\n%s", d)
	}
}

func indexOf(ids []int32, id int32) int {
	for i, x := range ids {
		if x == id {
			return i
		}
	}
	return -1
}
