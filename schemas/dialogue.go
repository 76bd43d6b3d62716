package schemas

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
)

// Roles of a [Turn]: the four of ChatGLM3's chat format.
const (
	RoleSystem      = "system"
	RoleUser        = "user"
	RoleAssistant   = "assistant"
	RoleObservation = "observation" // a tool's result
)

// Origin says where a row came from, for errors and for lineage.
type Origin struct {
	File   string `parquet:"file,dict" json:"file"`     // name of the file as the sender gave it, relative to the ingested directory
	Digest string `parquet:"digest,dict" json:"digest"` // "sha256:<hex>" of that file's bytes
	Line   int64  `parquet:"line" json:"line"`          // 1-based line of the row's first byte, or record number where lines mean nothing
	Key    string `parquet:"key" json:"key"`            // the sender's own id of the conversation, "" if it has none
}

// A Turn is one message of a conversation.
type Turn struct {
	Role    string `parquet:"role,dict" json:"role"`
	Content string `parquet:"content" json:"content"`
	Name    string `parquet:"name" json:"name,omitempty"`           // assistant metadata: the tool that is called, "" for plain text
	Time    int64  `parquet:"time" json:"time,omitempty"`           // Unix milliseconds, 0 if unknown
	Train   *bool  `parquet:"train,optional" json:"loss,omitempty"` // per-message loss flag; nil means by role
}

// A Dialogue is one conversation: a row of dialogue.raw and of dialogue.clean.
type Dialogue struct {
	ID        string   `parquet:"id" json:"id"` // hex SHA-256 of roles, names, contents and tools (see [Dialogue.ContentID]); stable through cleaning
	Turns     []Turn   `parquet:"turns,list" json:"turns"`
	Tools     string   `parquet:"tools" json:"tools,omitempty"`    // JSON list of tool definitions, "" if none
	Lang      string   `parquet:"lang,dict" json:"lang,omitempty"` // "zh", "en", "mixed", "other"; set by clean
	Origin    Origin   `parquet:"origin" json:"origin"`
	Edits     []string `parquet:"edits,list" json:"edits,omitempty"`         // rules that changed it, in order; set by clean
	Signature []uint32 `parquet:"signature,list" json:"signature,omitempty"` // MinHash of the cleaned text (see pipeline/window); set by clean
}

// ContentID returns what [Dialogue].ID is set to when a dialogue is read: the hex
// SHA-256 of every turn's role, name and content in order and of the tools, each
// preceded by its length in bytes (8, little-endian) so that no two dialogues
// run together to the same text. Where a dialogue came from, when its turns were
// said and which of them are trained on do not count.
func (d Dialogue) ContentID() string {
	h := sha256.New()
	add := func(s string) {
		var n [8]byte
		binary.LittleEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		_, _ = io.WriteString(h, s) // a hash never fails
	}
	for _, t := range d.Turns {
		add(t.Role)
		add(t.Name)
		add(t.Content)
	}
	add(d.Tools)
	return hex.EncodeToString(h.Sum(nil))
}

// A Reject is a row of dialogue.reject: something that was dropped, with the
// rule and the reason. Nothing is ever dropped without one.
type Reject struct {
	ID     string `parquet:"id" json:"id"`            // the dialogue's id, "" where none could be read
	Stage  string `parquet:"stage,dict" json:"stage"` // "ingest" or "clean"
	Rule   string `parquet:"rule,dict" json:"rule"`   // "malformed-json", "exact-duplicate", …
	Reason string `parquet:"reason" json:"reason"`    // a sentence for people
	Origin Origin `parquet:"origin" json:"origin"`
	Sample string `parquet:"sample" json:"sample"` // at most 512 bytes of what was dropped
}
