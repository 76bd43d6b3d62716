package schemas

// Keys of Dataset.Meta under which clean says what it did to the shard.
const (
	MetaRules = "rules" // JSON list of [RuleCount], in the order of the rules
	MetaPII   = "pii"   // JSON object: how often each kind of personal data was masked
)

// A RuleCount is what one cleaning rule did to one shard. Sum them over shards
// by Rule.
type RuleCount struct {
	Rule   string `json:"rule"`
	In     int64  `json:"in"`     // dialogues it saw
	Out    int64  `json:"out"`    // dialogues it let pass; the others are rejects
	Edited int64  `json:"edited"` // dialogues it changed and let pass
}
