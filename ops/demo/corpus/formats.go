package corpus

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A Plan is the record of what was planted in written files.
type Plan struct {
	Conversations []Conversation
	Broken        []BrokenLine
}

// A BrokenLine is a line that no reader can read.
type BrokenLine struct {
	File string
	Line int // 1-based
}

// A format writes conversations as one of the shop's systems exports them, and
// returns the lines it broke on purpose.
type format struct {
	file  string
	write func([]Conversation) (data []byte, broken []int, err error)
}

func formats() []format {
	return []format{
		{"desk/chatglm3.jsonl", writeChatGLM3},
		{"desk/openai.jsonl", writeOpenAI},
		{"web/sharegpt.json", writeShareGPT},
		{"phone/tickets.csv", writeTickets},
	}
}

// Write spreads the conversations over the formats, breaks a few lines, writes
// the files under dir and returns the plan.
func Write(dir string, all []Conversation) (Plan, error) {
	plan := Plan{Conversations: all}
	list := formats()
	for i, f := range list {
		var share []Conversation
		for k := i; k < len(all); k += len(list) {
			share = append(share, all[k])
		}
		data, broken, err := f.write(share)
		if err != nil {
			return Plan{}, fmt.Errorf("write %s: %w", f.file, err)
		}
		path := filepath.Join(dir, filepath.FromSlash(f.file))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return Plan{}, err
		}
		if err := os.WriteFile(path, data, fs.FileMode(0o644)); err != nil {
			return Plan{}, err
		}
		for _, n := range broken {
			plan.Broken = append(plan.Broken, BrokenLine{f.file, n})
		}
	}
	return plan, nil
}

// jsonLines writes one object a line and cuts every hundredth line short, as a
// full disk would.
func jsonLines(all []Conversation, object func(Conversation) any) (data []byte, broken []int, err error) {
	var b bytes.Buffer
	line := 0
	put := func(text []byte) { b.Write(text); b.WriteByte('\n'); line++ }
	for i, c := range all {
		text, err := marshal(object(c))
		if err != nil {
			return nil, nil, err
		}
		put(text)
		if i%100 == 50 {
			put(text[:len(text)*2/3])
			broken = append(broken, line)
		}
	}
	return b.Bytes(), broken, nil
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

type roleContent struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

func roleContents(c Conversation) []roleContent {
	out := make([]roleContent, len(c.Messages))
	for i, m := range c.Messages {
		out[i] = roleContent{m.Role, m.Content}
	}
	return out
}

func writeChatGLM3(all []Conversation) ([]byte, []int, error) {
	return jsonLines(all, func(c Conversation) any {
		return struct {
			ID            string        `json:"id"`
			Conversations []roleContent `json:"conversations"`
		}{c.Key, roleContents(c)}
	})
}

func writeOpenAI(all []Conversation) ([]byte, []int, error) {
	return jsonLines(all, func(c Conversation) any {
		return struct {
			ID       string        `json:"id"`
			Messages []roleContent `json:"messages"`
		}{c.Key, roleContents(c)}
	})
}

func writeShareGPT(all []Conversation) ([]byte, []int, error) {
	type fromValue struct {
		From  string `json:"from"`
		Value string `json:"value"`
	}
	type object struct {
		ID            string      `json:"id"`
		Conversations []fromValue `json:"conversations"`
	}
	names := map[string]string{"user": "human", "assistant": "gpt"}
	list := make([]object, len(all))
	for i, c := range all {
		list[i].ID = c.Key
		for _, m := range c.Messages {
			list[i].Conversations = append(list[i].Conversations, fromValue{names[m.Role], m.Content})
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err := e.Encode(list)
	return b.Bytes(), nil, err
}

// writeTickets is the phone desk's table: a row a message, in order of session
// and time, with Chinese headings. Every hundredth row lost its last columns.
func writeTickets(all []Conversation) ([]byte, []int, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	line := 0
	var broken []int
	put := func(record ...string) {
		_ = w.Write(record) // a bytes.Buffer takes everything; Flush and Error below
		line++
	}
	put("会话编号", "发送方", "消息内容", "发送时间")
	names := map[string]string{"user": "客户", "assistant": "客服"}
	for i, c := range all {
		for _, m := range c.Messages {
			put(c.Key, names[m.Role], m.Content, m.Time.Format("2006-01-02 15:04:05"))
		}
		if i%100 == 50 {
			put(c.Key + "x")
			broken = append(broken, line)
		}
	}
	w.Flush()
	return b.Bytes(), broken, w.Error()
}
