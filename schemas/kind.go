package schemas

import "slices"

// A Kind names what an event is about. Subjects, consumers, file metadata and
// the console's picture of the flow all derive from it.
type Kind string

// Data kinds: an event of one of these refers to a [Dataset].
const (
	DialogueRaw    Kind = "dialogue.raw"    // [Dialogue] rows as they arrived
	DialogueClean  Kind = "dialogue.clean"  // [Dialogue] rows that passed every rule
	DialogueReject Kind = "dialogue.reject" // [Reject] rows: what ingest could not read and what clean dropped
	Tokens         Kind = "tokens"          // [TokenRow] rows: one encoded conversation each
	Adapter        Kind = "adapter"         // one [AdapterRow]: a trained candidate
	Score          Kind = "score"           // one [ScoreRow]: an evaluation and its verdict
	Release        Kind = "release"         // one [ReleaseRow]: a published version
)

// Control kinds: an event of one of these carries its request in its data.
const (
	IngestRequest Kind = "ingest.request" // [IngestOrder]: read these uploaded files
	TrainRequest  Kind = "train.request"  // [TrainOrder]: cut a window of what is fresh and retrain
	TrainDue      Kind = "train.due"      // [TrainJob]: retrain on exactly this window
	EvalRequest   Kind = "eval.request"   // [EvalOrder]: evaluate this model on that data
	ModelAlias    Kind = "model.alias"    // [AliasChange]: an entry of a model's history
)

// DataKinds lists the data kinds in the order of the flow.
func DataKinds() []Kind {
	return []Kind{DialogueRaw, DialogueClean, DialogueReject, Tokens, Adapter, Score, Release}
}

// ControlKinds lists the control kinds that may be published by others.
func ControlKinds() []Kind {
	return []Kind{IngestRequest, TrainRequest, TrainDue, EvalRequest}
}

// IsData reports whether events of kind k refer to a dataset.
func (k Kind) IsData() bool { return slices.Contains(DataKinds(), k) }

// Version is the version of kind k's row. It grows when a column is appended.
func (k Kind) Version() int { return 1 }
