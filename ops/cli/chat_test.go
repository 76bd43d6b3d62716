package cli_test

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/reference"
)

// TestInterruptStopsTheAnswer sends Ctrl-C's signal to a chat that is answering
// without end: it goes on with the next message. While it waits for one, the
// signal is the end, and no failure.
func TestInterruptStopsTheAnswer(t *testing.T) {
	dir := t.TempDir()
	endless(t, dir)
	cmd := exec.Command("glmflow", "chat", "--model", dir, "--device", "reference", "--max-new", "500000", "--verbose")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	notes, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	said, noted := bufio.NewReader(out), bufio.NewScanner(notes)
	for range 2 {
		if _, err := in.Write([]byte("hello\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := said.ReadByte(); err != nil { // it has begun
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if !noted.Scan() || noted.Text() != "Interrupted." {
			t.Fatalf("noted %q", noted.Text())
		}
		if _, err := said.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("interrupted while it waits: %v", err)
	}
}

// endless writes a model that says "a" for ever: every token is the same to it,
// its layers add nothing, and its output matrix knows no other.
func endless(t *testing.T, dir string) {
	t.Helper()
	model, err := tokenizer.Train(strings.SplitSeq("a b c,a b d", ","), 300)
	if err != nil {
		t.Fatal(err)
	}
	enc, err := tokenizer.Parse(model)
	if err != nil {
		t.Fatal(err)
	}
	dev, err := reference.Open(device.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	c, _ := chatglm.Shape("tiny")
	c.PaddedVocabSize, c.SeqLength = tokenizer.Size(enc.Pieces()), 1<<20
	m, err := chatglm.New(c, dev, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	a := enc.Encode("a")
	for _, p := range m.Params() {
		values := make([]float32, p.Len())
		switch {
		case strings.HasSuffix(p.Name, "word_embeddings.weight"), strings.HasSuffix(p.Name, "norm.weight"):
			for i := range values {
				values[i] = 1
			}
		case strings.HasSuffix(p.Name, "output_layer.weight"):
			for i := range c.HiddenSize {
				values[int(a[len(a)-1])*c.HiddenSize+i] = 1
			}
		}
		if err := m.SetValues(p, values); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Save(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/tokenizer.model", model, 0o600); err != nil {
		t.Fatal(err)
	}
}
