package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/glmflow/glmflow/schemas"
)

// A Mapping says where the parts of a conversation lie in records of a layout we
// do not know. It is written in YAML; docs/examples has one.
//
// A path is the names of members joined by dots, with numbers for the elements
// of lists: "header.ids.0".
//
// There are two shapes. With Turns, a record is a conversation. With Session, a
// record is one message, and those of one session are put together.
type Mapping struct {
	// Conversations is the path of the list of records in a file that is one
	// object. The default is "": the file is a list, or has a record a line.
	Conversations string `yaml:"conversations"`

	// Key is the path of the sender's own id of the conversation. The default is
	// "": it has none.
	Key string `yaml:"key"`

	// System is the path of a system message. The default is "": none.
	System string `yaml:"system"`

	// Tools is the path of the tool definitions. The default is "": none.
	Tools string `yaml:"tools"`

	// Turns is the path of the list of messages.
	Turns string `yaml:"turns"`

	// Session is the path of the session's id in a record that is one message.
	Session string `yaml:"session"`

	// Role says who speaks in a message.
	Role MappedRole `yaml:"role"`

	// Text is the path of a message's text, within the message.
	Text string `yaml:"text"`

	// Time is the path of a message's time. The default is "": unknown.
	Time string `yaml:"time"`

	// Also lists further messages that stand outside Turns, to be added at the
	// end in this order.
	Also []MappedTurn `yaml:"also"`
}

// A MappedRole tells the role of a message: Keys or Path.
type MappedRole struct {
	// Keys says which role a message has that holds a member of that name:
	// {client: user, agent: assistant}.
	Keys map[string]string `yaml:"keys"`

	// Path is where the sender's word lies.
	Path string `yaml:"path"`

	// Values says which role a sender's word stands for. The default is the
	// words that ingest knows, such as customer, agent, 客户 and 客服.
	Values map[string]string `yaml:"values"`
}

// A MappedTurn is one message at a fixed place of the conversation.
type MappedTurn struct {
	At   string `yaml:"at"`   // path of the object; a conversation that lacks it has no such message
	Role string `yaml:"role"` // its role
	Text string `yaml:"text"` // path of the text, within the object
	Time string `yaml:"time"` // path of the time, within the object; the default is unknown
}

// ParseMapping reads a mapping and checks it. Unknown settings are errors that
// show the line.
func ParseMapping(text string) (*Mapping, error) {
	m := &Mapping{}
	if err := yaml.UnmarshalWithOptions([]byte(text), m, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("mapping: %s", yaml.FormatError(err, false, true))
	}
	if err := m.Validate(); err != nil {
		return nil, fmt.Errorf("mapping: %w", err)
	}
	return m, nil
}

// Validate reports what the mapping leaves open.
func (m *Mapping) Validate() error {
	switch {
	case (m.Turns == "") == (m.Session == ""):
		return errors.New("give turns (a record is a conversation) or session (a record is a message)")
	case (len(m.Role.Keys) == 0) == (m.Role.Path == ""):
		return errors.New("give role.keys (the role is the name of a member) or role.path (a member says it)")
	case m.Text == "":
		return errors.New("text is missing: the path of a message's text")
	case m.Session != "" && (len(m.Also) > 0 || m.System != "" || m.Tools != ""):
		return errors.New("also, system and tools go with turns, not with session")
	}
	for _, roles := range []map[string]string{m.Role.Keys, m.Role.Values} {
		for _, name := range slices.Sorted(maps.Keys(roles)) {
			if err := checkRole(roles[name]); err != nil {
				return fmt.Errorf("role of %s: %w", name, err)
			}
		}
	}
	for i, a := range m.Also {
		if a.At == "" || a.Text == "" {
			return fmt.Errorf("also %d: give at and text", i+1)
		}
		if err := checkRole(a.Role); err != nil {
			return fmt.Errorf("also %d: %w", i+1, err)
		}
	}
	return nil
}

func checkRole(role string) error {
	switch role {
	case schemas.RoleSystem, schemas.RoleUser, schemas.RoleAssistant, schemas.RoleObservation:
		return nil
	}
	return fmt.Errorf("%q is no role, want system, user, assistant or observation", role)
}

// records returns the records that lie in a top-level one.
func (m *Mapping) records(rec record) ([]record, error) {
	if m.Conversations == "" {
		return []record{rec}, nil
	}
	raw := rec.at(m.Conversations)
	if raw == nil { // the file was too large for one record and is cut up already
		return []record{rec}, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("%s is no list", m.Conversations)
	}
	records := make([]record, len(list))
	for i, item := range list {
		records[i] = record{line: rec.line, raw: item}
		if err := json.Unmarshal(item, &records[i].fields); err != nil {
			return nil, fmt.Errorf("element %d of %s is no object", i+1, m.Conversations)
		}
	}
	return records, nil
}

// dialogue reads a record that is a conversation.
func (m *Mapping) dialogue(rec record) (d schemas.Dialogue, err error) {
	var list []json.RawMessage
	if err := json.Unmarshal(rec.at(m.Turns), &list); err != nil {
		return d, fmt.Errorf("%s is no list of messages", m.Turns)
	}
	if m.Key != "" {
		if d.Origin.Key, err = text(rec.at(m.Key)); err != nil {
			return d, fmt.Errorf("%s %w", m.Key, err)
		}
	}
	if d.Tools, err = toolList(rec.optional(m.Tools)); err != nil {
		return d, fmt.Errorf("%s: %w", m.Tools, err)
	}
	system, err := text(rec.optional(m.System))
	if err != nil {
		return d, fmt.Errorf("%s %w", m.System, err)
	}
	if system != "" {
		d.Turns = append(d.Turns, schemas.Turn{Role: schemas.RoleSystem, Content: system})
	}
	for i, raw := range list {
		msg := record{raw: raw}
		if json.Unmarshal(raw, &msg.fields) != nil {
			return d, fmt.Errorf("message %d is no object", i+1)
		}
		role, err := m.Role.of(msg)
		if err != nil {
			return d, fmt.Errorf("message %d %w", i+1, err)
		}
		turn, err := m.turn(msg, role, m.Text, m.Time)
		if err != nil {
			return d, fmt.Errorf("message %d: %w", i+1, err)
		}
		d.Turns = append(d.Turns, turn)
	}
	for _, a := range m.Also {
		raw := rec.at(a.At)
		if raw == nil || string(raw) == "null" {
			continue
		}
		msg := record{raw: raw}
		if json.Unmarshal(raw, &msg.fields) != nil {
			return d, fmt.Errorf("%s is no object", a.At)
		}
		turn, err := m.turn(msg, a.Role, a.Text, a.Time)
		if err != nil {
			return d, fmt.Errorf("%s: %w", a.At, err)
		}
		d.Turns = append(d.Turns, turn)
	}
	return d, nil
}

func (m *Mapping) turn(msg record, role, at, when string) (schemas.Turn, error) {
	raw := msg.at(at)
	if raw == nil {
		return schemas.Turn{}, fmt.Errorf("%s is missing", at)
	}
	content, err := text(raw)
	if err != nil {
		return schemas.Turn{}, fmt.Errorf("%s %w", at, err)
	}
	t, _ := text(msg.optional(when)) // an unreadable time is an unknown one
	return schemas.Turn{Role: role, Content: content, Time: millis(t)}, nil
}

// message reads a record that is one message: its session and its parts.
func (m *Mapping) message(rec record) (key string, msg message, err error) {
	msg.line = rec.line
	if key, err = text(rec.at(m.Session)); err != nil {
		return "", msg, fmt.Errorf("%s %w", m.Session, err)
	}
	if m.Role.Path != "" {
		msg.sender, err = text(rec.at(m.Role.Path))
	} else {
		msg.sender, err = m.Role.of(rec)
	}
	if err != nil {
		return "", msg, err
	}
	if msg.text, err = text(rec.at(m.Text)); err != nil {
		return "", msg, fmt.Errorf("%s %w", m.Text, err)
	}
	t, _ := text(rec.optional(m.Time))
	msg.time = millis(t)
	return key, msg, nil
}

// senders returns which role a sender's word stands for in a table. Roles told
// by the name of a member are their own words.
func (m *Mapping) senders() map[string]string {
	if m.Role.Path != "" {
		return m.Role.Values
	}
	roles := make(map[string]string)
	for _, role := range m.Role.Keys {
		roles[role] = role
	}
	return roles
}

// of tells the role of a message.
func (r MappedRole) of(msg record) (string, error) {
	if r.Path != "" {
		word, err := text(msg.at(r.Path))
		if err != nil {
			return "", fmt.Errorf("%s %w", r.Path, err)
		}
		if role, ok := r.Values[word]; ok {
			return role, nil
		}
		if role, ok := roleOf(word); ok && len(r.Values) == 0 {
			return role, nil
		}
		return "", fmt.Errorf("has %s %q, which role.values does not list", r.Path, word)
	}
	found := ""
	for _, name := range slices.Sorted(maps.Keys(r.Keys)) {
		if _, ok := msg.fields[name]; !ok {
			continue
		}
		if found != "" {
			return "", fmt.Errorf("holds both %s and %s of role.keys", found, name)
		}
		found = name
	}
	if found == "" {
		return "", errors.New("holds no member of role.keys")
	}
	return r.Keys[found], nil
}

// at returns what lies at path in the record, nil if nothing does.
func (r record) at(path string) json.RawMessage {
	first, rest, more := strings.Cut(path, ".")
	raw := r.fields[first]
	for more && raw != nil {
		first, rest, more = strings.Cut(rest, ".")
		raw = member(raw, first)
	}
	return raw
}

// optional is at for a path that may be "", which leads nowhere.
func (r record) optional(path string) json.RawMessage {
	if path == "" {
		return nil
	}
	return r.at(path)
}

// member returns the member of an object, or the element of a list.
func member(raw json.RawMessage, name string) json.RawMessage {
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) == nil {
		return object[name]
	}
	var list []json.RawMessage
	if i, err := strconv.Atoi(name); err == nil && json.Unmarshal(raw, &list) == nil && i >= 0 && i < len(list) {
		return list[i]
	}
	return nil
}
