package ingest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/glmflow/glmflow/schemas"
)

// tableLayout is the name of the layout with one message a row.
const tableLayout = "table"

// columns are the names of a ticket table's columns.
type columns struct {
	session, sender, text, time string
	yes                         string // the role that a yes in the sender column stands for, "" where it holds words
}

// guessColumns finds the columns of a ticket table among names. It reports false
// if session, sender or text is not among them.
func guessColumns(names []string) (columns, bool) {
	find := func(wanted ...string) string {
		for _, w := range wanted {
			for _, name := range names {
				if strings.NewReplacer(" ", "", "_", "", "-", "").Replace(strings.ToLower(name)) == w {
					return name
				}
			}
		}
		return ""
	}
	c := columns{
		session: find("sessionid", "session", "conversationid", "conversation", "chatid", "ticketid", "ticket", "dialogid", "dialogueid",
			"threadid", "caseid", "会话编号", "会话id", "会话", "对话编号", "对话id", "工单编号", "工单号", "工单id"),
		sender: find("sender", "role", "sendertype", "senderrole", "speaker", "from", "author", "authortype", "direction", "who", "party",
			"发送方", "发送者", "发送人", "发送者类型", "发送人类型", "角色", "说话人", "身份", "消息方向", "发言人"),
		text: find("text", "message", "content", "body", "utterance", "messagetext",
			"消息内容", "内容", "消息", "文本", "对话内容", "聊天内容", "发言内容"),
		time: find("time", "timestamp", "datetime", "createdat", "sentat", "date", "sendtime",
			"发送时间", "消息时间", "时间", "创建时间", "时间戳"),
	}
	if c.sender == "" {
		if c.sender = find("inbound", "isinbound", "iscustomer", "fromcustomer", "isuser", "fromuser", "是否客户", "是否用户"); c.sender != "" {
			c.yes = schemas.RoleUser
		} else if c.sender = find("isagent", "fromagent", "isstaff", "isbot", "是否客服", "是否坐席"); c.sender != "" {
			c.yes = schemas.RoleAssistant
		}
	}
	return c, c.session != "" && c.sender != "" && c.text != ""
}

// A table collects the messages of a ticket table by session.
type table struct {
	limit, held int64 // bytes of text
	sessions    map[string]*session
	order       []*session
	roles       map[string]string // what the mapping says of senders; words we know otherwise
	yes         string            // see columns
}

type session struct {
	key  string
	line int64
	rows []message
}

type message struct {
	sender, text string
	time         int64
	line         int64
}

func newTable(limit int64, roles map[string]string, yes string) *table {
	return &table{limit: limit, sessions: make(map[string]*session), roles: roles, yes: yes}
}

// add takes in one row.
func (t *table) add(key string, m message, raw []byte) error {
	switch {
	case key == "":
		return &problem{ruleCSV, "the row names no session", m.line, raw}
	case m.sender == "":
		return &problem{ruleCSV, "the row names no sender", m.line, raw}
	}
	if t.held += int64(len(m.text)); t.held > t.limit {
		return &problem{ruleTable, fmt.Sprintf("the table holds more than %d bytes of text; split the file by session", t.limit), m.line, raw}
	}
	s := t.sessions[key]
	if s == nil {
		s = &session{key: key, line: m.line}
		t.sessions[key] = s
		t.order = append(t.order, s)
	}
	s.rows = append(s.rows, m)
	return nil
}

// dialogues yields the sessions in the order in which they began in the file,
// their messages in the order of time where all of them have one.
func (t *table) dialogues(yield func(schemas.Dialogue, error) bool) {
	roles := t.senders()
	for _, s := range t.order {
		if !slices.ContainsFunc(s.rows, func(m message) bool { return m.time == 0 }) {
			slices.SortStableFunc(s.rows, func(a, b message) int { return cmp.Compare(a.time, b.time) })
		}
		d := schemas.Dialogue{Origin: schemas.Origin{Key: s.key, Line: s.line}}
		var err error
		for _, m := range s.rows {
			role := roles[m.sender]
			if role == "" {
				err = &problem{ruleSender, fmt.Sprintf("session %s: sender %q is neither customer nor agent as far as we know; say so in a mapping", s.key, m.sender), m.line, []byte(m.text)}
				break
			}
			d.Turns = append(d.Turns, schemas.Turn{Role: role, Content: m.text, Time: m.time})
		}
		if !yield(d, err) {
			return
		}
	}
}

// senders says which role every sender of the table has. Words we know decide
// first. Where they name one side only, all others are the other side: tables
// often have the names of the agents, or of the customers, in that column.
// Where they name none and there are two senders, the customer is the one who
// begins more sessions.
func (t *table) senders() map[string]string {
	roles := make(map[string]string)
	var unknown []string // in the order of the file
	opened := make(map[string]int)
	sides := make(map[string]bool)
	for _, s := range t.order {
		opened[s.rows[0].sender]++
		for _, m := range s.rows {
			if _, seen := roles[m.sender]; seen {
				continue
			}
			role := t.role(m.sender)
			roles[m.sender] = role
			if sides[role] = true; role == "" {
				unknown = append(unknown, m.sender)
			}
		}
	}
	switch user, assistant := sides[schemas.RoleUser], sides[schemas.RoleAssistant]; {
	case len(t.roles) > 0: // the mapping has the say
	case user && !assistant:
		for _, s := range unknown {
			roles[s] = schemas.RoleAssistant
		}
	case assistant && !user:
		for _, s := range unknown {
			roles[s] = schemas.RoleUser
		}
	case !user && !assistant && len(unknown) == 2:
		a, b := unknown[0], unknown[1]
		if opened[b] > opened[a] {
			a, b = b, a
		}
		roles[a], roles[b] = schemas.RoleUser, schemas.RoleAssistant
	}
	return roles
}

// role returns the role of a sender that the mapping, a flag or a word we know
// decides, and "" otherwise.
func (t *table) role(sender string) string {
	if role, ok := t.roles[sender]; ok {
		return role
	}
	if t.yes != "" {
		no := schemas.RoleAssistant
		if t.yes == no {
			no = schemas.RoleUser
		}
		switch strings.ToLower(strings.TrimSpace(sender)) {
		case "1", "true", "t", "yes", "y", "是":
			return t.yes
		case "0", "false", "f", "no", "n", "否":
			return no
		}
		return ""
	}
	role, _ := roleOf(sender)
	return role
}
