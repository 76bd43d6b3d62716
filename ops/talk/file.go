package talk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/glmflow/glmflow/gpu/chatglm/chat"
	"github.com/glmflow/glmflow/gpu/checkpoint/atomicfile"
)

// maxFile bounds what is loaded, in bytes.
const maxFile = 16 << 20

// A saved conversation has ChatGLM3's own layout for training data, so that
// `glmflow ingest` and `glmflow finetune` read it, too.
type saved struct {
	Tools         json.RawMessage `json:"tools,omitempty"`
	Conversations []savedMessage  `json:"conversations"`
}

type savedMessage struct {
	Role     string `json:"role"`
	Metadata string `json:"metadata,omitempty"`
	Content  string `json:"content"`
}

// save writes the conversation as one line of JSON.
func (c *Conversation) save(path string) error {
	s := saved{Tools: json.RawMessage(c.Tools)}
	if c.System != "" {
		s.Conversations = append(s.Conversations, savedMessage{Role: chat.System, Content: c.System})
	}
	for _, m := range c.Messages {
		s.Conversations = append(s.Conversations, savedMessage{m.Role, m.Name, m.Content})
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return err
	}
	return atomicfile.WriteBytes(path, b.Bytes())
}

// load replaces the conversation by a saved one. After an error it is as it was.
func (c *Conversation) load(path string) error {
	text, err := readFile(path)
	if err != nil {
		return err
	}
	var s saved
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("%s: something follows the conversation: one a file is loaded", path)
	}
	next := Conversation{Tools: string(s.Tools)}
	if next.Tools == "null" {
		next.Tools = ""
	}
	for i, m := range s.Conversations {
		switch {
		case m.Role == chat.System && i == 0:
			next.System = m.Content
		case m.Role == chat.User, m.Role == chat.Assistant, m.Role == chat.Observation:
			next.Messages = append(next.Messages, chat.Message{Role: m.Role, Name: m.Metadata, Content: m.Content})
		default:
			return fmt.Errorf("%s: message %d has role %q: want user, assistant or observation, and system as the first alone", path, i+1, m.Role)
		}
	}
	if len(next.Messages) == 0 || next.Messages[0].Role != chat.User || next.Messages[len(next.Messages)-1].Role != chat.Assistant {
		return fmt.Errorf("%s: want messages from a user's first to an answer", path)
	}
	if _, err := chat.Text(next.Messages, next.Tools); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	c.System, c.Tools, c.Messages, c.from = next.System, next.Tools, next.Messages, 0
	return nil
}

// ReadTools reads tool definitions as ChatGLM3 wants them: a JSON list.
func ReadTools(path string) (string, error) {
	text, err := readFile(path)
	if err != nil {
		return "", err
	}
	if _, err := chat.Text([]chat.Message{{Role: chat.User}}, string(text)); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return string(bytes.TrimSpace(text)), nil
}

// toolNames lists the tools that have a name, ChatGLM3's way or OpenAI's.
func toolNames(tools string) (names []string) {
	var list []json.RawMessage
	if tools == "" || json.Unmarshal([]byte(tools), &list) != nil {
		return nil
	}
	for _, raw := range list {
		var tool struct {
			Name     string `json:"name"`
			Function struct {
				Name string `json:"name"`
			} `json:"function"`
		}
		name := "?"
		if json.Unmarshal(raw, &tool) == nil && tool.Name+tool.Function.Name != "" {
			name = tool.Name + tool.Function.Name
		}
		names = append(names, name)
	}
	return names
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = errors.New(path + " is larger than 16 MiB")
	}
	return text, err
}
