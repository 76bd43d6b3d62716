package schemas

// A ReleaseRow is a published version: the one row of release.
type ReleaseRow struct {
	Name     string   `parquet:"name" json:"name"`
	Version  int64    `parquet:"version" json:"version"`    // 1, 2, 3, …
	Files    string   `parquet:"files" json:"files"`        // digest of the tree: adapter, model card, signed manifest
	Adapter  string   `parquet:"adapter" json:"adapter"`    // digest of the adapter's tree
	Base     string   `parquet:"base" json:"base"`          // digest of the base model's tree
	Window   string   `parquet:"window" json:"window"`      // digest of the window manifest
	Score    string   `parquet:"score" json:"score"`        // digest of the score dataset
	Passed   bool     `parquet:"passed" json:"passed"`      // the gate's verdict
	Failed   []string `parquet:"failed,list" json:"failed"` // rules that did not hold
	Promoted bool     `parquet:"promoted" json:"promoted"`  // whether it became production at once
	Manifest string   `parquet:"manifest" json:"manifest"`  // digest of the signed manifest (DSSE envelope)
}

// Aliases that publish keeps. People may set others.
const (
	AliasCandidate  = "candidate"
	AliasProduction = "production"
	AliasPrevious   = "previous"
)

// An AliasChange is one entry of a model's append-only history: the data of a
// model.alias event, whose subject is the model's name.
type AliasChange struct {
	Action  string           `json:"action"`            // "publish", "promote", "rollback"
	Version int64            `json:"version"`           // the version it is about
	Release *ReleaseRow      `json:"release,omitempty"` // with "publish": the version itself
	Aliases map[string]int64 `json:"aliases"`           // the aliases that changed → their version now; 0 removes
	Actor   string           `json:"actor"`
	Reason  string           `json:"reason"`
}
