package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/glmflow/glmflow/gpu/chatglm/chat"
	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/gpu/finetune"
	"github.com/glmflow/glmflow/schemas"
	"github.com/glmflow/glmflow/stages/ingest"
)

// dataFlags say what data is and how to read it.
type dataFlags struct {
	path      string
	mapping   string
	maxLength int
	prompts   bool // rows are wanted for their prompts: they need no target
}

func (f *dataFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.path, "data", "", `conversations: chat logs of any layout that ingest knows, or token rows {"id","ids"[,"labels"]}`)
	flags.StringVar(&f.mapping, "mapping", "", "YAML file that says where things lie in logs of another layout")
	if !f.prompts {
		flags.IntVar(&f.maxLength, "max-length", 0, "longest conversation in tokens, longer ones are cut; 0 cuts none")
	}
}

// rows reads the data, encoding chat logs with the tokenizer in the directory
// model. Notices of what was left out go to notices.
func (f dataFlags) rows(ctx context.Context, notices io.Writer, model string) ([]row, error) {
	if f.maxLength < 0 {
		return nil, usagef("--max-length %d: want 0 (no limit) or more", f.maxLength)
	}
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	r := bufio.NewReaderSize(file, 1<<20)
	var rows []row
	if startsWithTokenRow(r) && f.mapping == "" {
		rows, err = readTokenRows(r, f.path, f.maxLength)
	} else {
		rows, err = f.logs(ctx, r, notices, model)
	}
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%s: no conversation in it", f.path)
	}
	return rows, nil
}

// logs reads and encodes chat logs. Rows are numbered with those that were left
// out.
func (f dataFlags) logs(ctx context.Context, r io.Reader, notices io.Writer, model string) ([]row, error) {
	enc, err := tokenizer.Open(model, tokenizer.Auto)
	if err != nil {
		return nil, err
	}
	mapping, err := f.readMapping()
	if err != nil {
		return nil, err
	}
	var rows []row
	number := -1
	leaveOut := func(line int64, reason string) {
		fmt.Fprintf(notices, "%s:%d: left out: %s\n", f.path, line, reason)
	}
	err = ingest.Read(r, filepath.Base(f.path), mapping, ingest.DefaultConfig(), func(d schemas.Dialogue) error {
		number++
		if err := ctx.Err(); err != nil {
			return err
		}
		row, err := encode(enc, d, f.maxLength)
		if err != nil && (!f.prompts || !errors.Is(err, chat.ErrNoTarget)) {
			leaveOut(d.Origin.Line, err.Error())
			return nil
		}
		row.id = idOr(row.id, number)
		rows = append(rows, row)
		return nil
	}, func(r schemas.Reject) error {
		number++
		leaveOut(r.Origin.Line, r.Reason)
		return nil
	})
	return rows, err
}

func (f dataFlags) readMapping() (*ingest.Mapping, error) {
	if f.mapping == "" {
		return nil, nil
	}
	text, err := os.ReadFile(f.mapping)
	if err != nil {
		return nil, err
	}
	m, err := ingest.ParseMapping(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.mapping, err)
	}
	return m, nil
}

// encode makes a row of a conversation. Its prompt is all before the answer it
// ends with, or all of it if it ends with a question. With the error
// [chat.ErrNoTarget] the row has a prompt and nothing else.
func encode(enc tokenizer.Encoder, d schemas.Dialogue, maxLength int) (r row, err error) {
	messages := make([]chat.Message, len(d.Turns))
	for i, t := range d.Turns {
		messages[i] = chat.Message{Role: t.Role, Content: t.Content, Name: t.Name, Train: t.Train}
	}
	question := messages
	if n := len(messages); n > 0 && messages[n-1].Role == chat.Assistant {
		question = messages[:n-1]
	}
	if r.prompt, err = chat.Prompt(enc, question, d.Tools); err != nil {
		return row{}, err
	}
	if d.Origin.Key != "" {
		if r.id, err = json.Marshal(d.Origin.Key); err != nil {
			return row{}, err
		}
	}
	r.ids, r.labels, _, err = chat.Encode(enc, messages, d.Tools, chat.Options{MaxLength: maxLength})
	return r, err
}

// startsWithTokenRow looks at the first line without taking it.
func startsWithTokenRow(r *bufio.Reader) bool {
	head, _ := r.Peek(r.Size())
	return isTokenRow(head)
}

// examples are rows to train on.
func examples(rows []row) []finetune.Example {
	out := make([]finetune.Example, len(rows))
	for i, r := range rows {
		out[i] = finetune.Example{ID: r.name(), IDs: r.ids, Labels: r.labels}
	}
	return out
}
