package ingest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/glmflow/glmflow/schemas"
)

// A layout is a way to write a conversation as a JSON object.
type layout struct {
	name string
	is   func(fields map[string]json.RawMessage) bool
	read func(fields map[string]json.RawMessage) ([]schemas.Turn, error)
}

// layouts lists the layouts in the order they are tried.
func layouts() []layout {
	return []layout{
		{"chatglm3", isList("role", "conversations", "conversation"), readList(readMessage, "conversations", "conversation")},
		{"openai", isList("role", "messages"), readList(readMessage, "messages")},
		{"sharegpt", isList("from", "conversations", "conversation"), readList(readFromValue, "conversations", "conversation")},
		{"sharegpt", isList("human", "conversations", "conversation"), readList(readPair, "conversations", "conversation")},
		{"alpaca", isAlpaca, readAlpaca},
		{"qa", isQA, readQA},
	}
}

// Formats lists what an order may name as its format: containers, for files whose
// content leaves a doubt, and layouts.
func Formats() []string { return append(containers(), layoutNames()...) }

func containers() []string { return []string{"json", "jsonl", "csv", "tsv"} }

// layoutNames lists what an order's format may name, without the containers.
func layoutNames() []string {
	var names []string
	for _, l := range layouts() {
		names = append(names, l.name)
	}
	return append(slices.Compact(names), tableLayout)
}

// conversation reads rec by one of the layouts that is allowed: all of them if
// format is "". It reports false if none knows the record.
func conversation(rec record, format string) (schemas.Dialogue, bool, error) {
	for _, l := range layouts() {
		if format != "" && l.name != format || !l.is(rec.fields) {
			continue
		}
		turns, err := l.read(rec.fields)
		if err != nil {
			return schemas.Dialogue{}, true, fmt.Errorf("as %s: %w", l.name, err)
		}
		tools, err := toolList(rec.fields["tools"])
		if err != nil {
			return schemas.Dialogue{}, true, fmt.Errorf("as %s: tools: %w", l.name, err)
		}
		if s := word(rec.fields, "system"); s != "" && !startsWithSystem(turns) {
			turns = append([]schemas.Turn{{Role: schemas.RoleSystem, Content: s}}, turns...)
		}
		return schemas.Dialogue{Turns: turns, Tools: tools, Origin: schemas.Origin{Key: keyOf(rec)}}, true, nil
	}
	return schemas.Dialogue{}, false, nil
}

func startsWithSystem(turns []schemas.Turn) bool {
	return len(turns) > 0 && turns[0].Role == schemas.RoleSystem
}

// keyOf returns the sender's own id of a conversation.
func keyOf(rec record) string {
	key := word(rec.fields, "id", "session_id", "sessionId", "conversation_id", "conversationId", "dialog_id", "dialogue_id", "chat_id", "ticket_id")
	if key == "" {
		key = rec.key
	}
	return key
}

// toolList returns the tools of a conversation as a JSON list. They may be given
// as a list or as a string that holds one.
func toolList(raw json.RawMessage) (string, error) {
	s, list := "", []json.RawMessage(nil)
	if len(raw) > 0 && raw[0] == '"' {
		if err := json.Unmarshal(raw, &s); err != nil {
			return "", err
		}
		raw = json.RawMessage(strings.TrimSpace(s))
	}
	if len(raw) == 0 || string(raw) == "null" {
		return "", nil
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return "", fmt.Errorf("want a JSON list of definitions: %w", err)
	}
	if len(list) == 0 {
		return "", nil
	}
	return string(raw), nil
}

// isList recognises a list, under one of names, whose first element has a
// field.
func isList(field string, names ...string) func(map[string]json.RawMessage) bool {
	return func(fields map[string]json.RawMessage) bool {
		for _, name := range names {
			if raw := fields[name]; len(raw) > 0 && raw[0] == '[' {
				var list []map[string]json.RawMessage
				if json.Unmarshal(raw, &list) == nil && len(list) > 0 && list[0][field] != nil {
					return true
				}
			}
		}
		return false
	}
}

// readList reads the elements of the list under the first of names that exists.
func readList(read func(map[string]json.RawMessage) ([]schemas.Turn, error), names ...string) func(map[string]json.RawMessage) ([]schemas.Turn, error) {
	return func(fields map[string]json.RawMessage) ([]schemas.Turn, error) {
		var list []map[string]json.RawMessage
		for _, name := range names {
			if raw, ok := fields[name]; ok {
				if err := json.Unmarshal(raw, &list); err != nil {
					return nil, err
				}
				break
			}
		}
		var turns []schemas.Turn
		for i, m := range list {
			some, err := read(m)
			if err != nil {
				return nil, fmt.Errorf("message %d %w", i+1, err)
			}
			at := millis(word(m, "time", "timestamp", "datetime", "created_at", "create_time", "date"))
			for _, t := range some {
				t.Time = at
				turns = append(turns, t)
			}
		}
		return turns, nil
	}
}

// readMessage reads one message with a role: plain, with OpenAI's tool_calls, or
// ChatGLM3's call and result in one.
func readMessage(m map[string]json.RawMessage) ([]schemas.Turn, error) {
	role, ok := roleOf(word(m, "role"))
	if !ok {
		return nil, fmt.Errorf("has role %s, which is none we know; say what it means in a mapping", m["role"])
	}
	train, err := trainFlag(m)
	if err != nil {
		return nil, err
	}
	if role == schemas.RoleObservation && m["parameters"] != nil {
		call, err := toolCall(word(m, "name"), m["parameters"])
		if err != nil {
			return nil, err
		}
		call.Train = train
		result, err := observation(m["observation"])
		return []schemas.Turn{call, {Role: role, Content: result}}, err
	}
	read := text
	if role == schemas.RoleObservation {
		read = func(raw json.RawMessage) (string, error) {
			if s, err := text(raw); err == nil {
				return s, nil
			}
			return observation(raw)
		}
	}
	content, err := read(m["content"])
	if err != nil {
		return nil, fmt.Errorf("content %w", err)
	}
	turn := schemas.Turn{Role: role, Content: content, Train: train}
	if role != schemas.RoleAssistant {
		return []schemas.Turn{turn}, nil
	}
	turn.Name = word(m, "metadata")
	return withCalls(turn, m)
}

// withCalls appends the tool calls of an assistant message to it.
func withCalls(turn schemas.Turn, m map[string]json.RawMessage) ([]schemas.Turn, error) {
	var calls []struct {
		Function struct {
			Name      string          `json:"name"`
			Arguments json.RawMessage `json:"arguments"`
		} `json:"function"`
	}
	if raw := m["tool_calls"]; len(raw) > 0 {
		if err := json.Unmarshal(raw, &calls); err != nil {
			return nil, fmt.Errorf("tool_calls: %w", err)
		}
	}
	var turns []schemas.Turn
	if turn.Content != "" || len(calls) == 0 {
		turns = append(turns, turn)
	}
	for _, c := range calls {
		call, err := toolCall(c.Function.Name, c.Function.Arguments)
		if err != nil {
			return nil, err
		}
		call.Train = turn.Train
		turns = append(turns, call)
	}
	return turns, nil
}

// trainFlag reads the per-message flag: ChatGLM3's loss, OpenAI's weight.
func trainFlag(m map[string]json.RawMessage) (*bool, error) {
	for _, name := range []string{"loss", "weight"} {
		var flag bool
		switch v := string(m[name]); v {
		case "", "null":
			continue
		case "true", "1", "1.0":
			flag = true
		case "false", "0", "0.0":
		default:
			return nil, fmt.Errorf("has %s %s, want true or false", name, v)
		}
		return &flag, nil
	}
	return nil, nil
}

// readFromValue reads one ShareGPT message. A function_call's value is a JSON
// object {name, arguments}.
func readFromValue(m map[string]json.RawMessage) ([]schemas.Turn, error) {
	from := word(m, "from")
	value, err := text(m["value"])
	if err != nil {
		return nil, fmt.Errorf("value %w", err)
	}
	train, err := trainFlag(m)
	if err != nil {
		return nil, err
	}
	if from == "function_call" || from == "tool_call" {
		var call struct {
			Name      string          `json:"name"`
			Arguments json.RawMessage `json:"arguments"`
		}
		if err := json.Unmarshal([]byte(value), &call); err != nil {
			return nil, fmt.Errorf("is a function_call whose value is no JSON object: %w", err)
		}
		turn, err := toolCall(call.Name, call.Arguments)
		turn.Train = train
		return []schemas.Turn{turn}, err
	}
	role, ok := roleOf(from)
	if !ok {
		return nil, fmt.Errorf("is from %s, which is none we know; say what it means in a mapping", m["from"])
	}
	return []schemas.Turn{{Role: role, Content: value, Train: train}}, nil
}

// readPair reads {human, assistant}: one question with its answer.
func readPair(m map[string]json.RawMessage) ([]schemas.Turn, error) {
	question, err := text(m["human"])
	if err != nil {
		return nil, fmt.Errorf("human %w", err)
	}
	answer, err := text(m["assistant"])
	if err != nil {
		return nil, fmt.Errorf("assistant %w", err)
	}
	return exchange(question, answer), nil
}

func exchange(question, answer string) []schemas.Turn {
	return []schemas.Turn{{Role: schemas.RoleUser, Content: question}, {Role: schemas.RoleAssistant, Content: answer}}
}

func isAlpaca(fields map[string]json.RawMessage) bool {
	return fields["output"] != nil && (fields["instruction"] != nil || fields["input"] != nil)
}

// readAlpaca reads an instruction, its input on the next line, and the output.
func readAlpaca(fields map[string]json.RawMessage) ([]schemas.Turn, error) {
	var said []string
	for _, name := range []string{"instruction", "input"} {
		s, err := text(fields[name])
		if err != nil {
			return nil, fmt.Errorf("%s %w", name, err)
		}
		if s != "" {
			said = append(said, s)
		}
	}
	answer, err := text(fields["output"])
	if err != nil {
		return nil, fmt.Errorf("output %w", err)
	}
	return withHistory(fields["history"], exchange(strings.Join(said, "\n"), answer))
}

// qaNames are the pairs of names for a question and its answer.
func qaNames() [][2]string {
	return [][2]string{
		{"query", "response"}, {"prompt", "response"}, {"prompt", "completion"},
		{"question", "answer"}, {"问题", "答案"}, {"问题", "回答"}, {"content", "summary"},
	}
}

func isQA(fields map[string]json.RawMessage) bool {
	return slices.ContainsFunc(qaNames(), func(n [2]string) bool { return fields[n[0]] != nil && fields[n[1]] != nil })
}

func readQA(fields map[string]json.RawMessage) ([]schemas.Turn, error) {
	for _, n := range qaNames() {
		if fields[n[0]] == nil || fields[n[1]] == nil {
			continue
		}
		question, err := text(fields[n[0]])
		if err != nil {
			return nil, fmt.Errorf("%s %w", n[0], err)
		}
		answer, err := text(fields[n[1]])
		if err != nil {
			return nil, fmt.Errorf("%s %w", n[1], err)
		}
		return withHistory(fields["history"], exchange(question, answer))
	}
	return nil, nil
}

// withHistory puts the earlier exchanges, a list of pairs or a string that holds
// one, before turns.
func withHistory(raw json.RawMessage, turns []schemas.Turn) ([]schemas.Turn, error) {
	var pairs [][]string
	if len(raw) > 0 && raw[0] == '"' {
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, err
		}
		raw = json.RawMessage(s)
	}
	if len(raw) == 0 {
		return turns, nil
	}
	if err := json.Unmarshal(raw, &pairs); err != nil {
		return nil, fmt.Errorf("history is no list of pairs: %w", err)
	}
	var earlier []schemas.Turn
	for i, p := range pairs {
		if len(p) != 2 {
			return nil, fmt.Errorf("history entry %d has %d texts, want a question and an answer", i+1, len(p))
		}
		earlier = append(earlier, exchange(p[0], p[1])...)
	}
	return append(earlier, turns...), nil
}
