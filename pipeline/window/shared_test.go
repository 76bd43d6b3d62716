package window

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
)

// TestRealConversations signs conversations that nobody made for this test and
// compares what [Near] finds with the similarity counted piece by piece.
func TestRealConversations(t *testing.T) {
	texts := realConversations(t, "../../../shared/data/logs/crosswoz/val.messages.jsonl", 500)
	var index Near
	for i, text := range texts {
		sig := Signature(text)
		if id, found := index.Find(sig); found {
			var other int
			fmt.Sscan(id, &other)
			// 0.8 is the estimate's bound; five standard errors below it is 0.62.
			if counted := jaccard(text, texts[other]); counted < 0.62 {
				t.Errorf("conversation %d counts as a copy of %d, but they share only %.2f", i, other, counted)
			}
			continue
		}
		index.Add(fmt.Sprint(i), sig)
	}
	if len(index.ids) < len(texts)*95/100 {
		t.Errorf("of %d honest conversations only %d are kept", len(texts), len(index.ids))
	}
	for i, text := range texts {
		copied := strings.ReplaceAll(text, "。", " ！") + "谢谢，再见"
		if _, found := index.Find(Signature(copied)); !found && jaccard(text, copied) > 0.95 {
			t.Errorf("a copy of conversation %d is not found", i)
		}
	}
}

func realConversations(t *testing.T, path string, most int) []string {
	t.Helper()
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s is not there", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var texts []string
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() && len(texts) < most {
		var line struct {
			Messages []struct{ Content string }
		}
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, m := range line.Messages {
			text.WriteString(m.Content + "\n")
		}
		texts = append(texts, text.String())
	}
	if err := scanner.Err(); err != nil || len(texts) < 100 {
		t.Fatalf("%s: %d conversations, %v", path, len(texts), err)
	}
	return texts
}
