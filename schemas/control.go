package schemas

// An IngestOrder asks ingest to read files that lie in the artifact store: the
// data of ingest.request.
type IngestOrder struct {
	Sources []Source `json:"sources"`
	Format  string   `json:"format,omitempty"`  // "" recognises it by content
	Mapping string   `json:"mapping,omitempty"` // YAML text of a mapping file, for layouts we don't know
}

// A Source is one uploaded file.
type Source struct {
	Name   string `json:"name"`   // relative, slash-separated; for messages and Origin.File
	Digest string `json:"digest"` // "sha256:<hex>"
	Bytes  int64  `json:"bytes"`
}

// A TrainOrder asks for a retraining on what arrived since the last published
// window: the data of train.request. A fired schedule says the same.
type TrainOrder struct {
	Reason string   `json:"reason"`          // "schedule nightly", "manual", …
	Model  string   `json:"model,omitempty"` // the model's name; "" is the configured one
	Runs   []string `json:"runs,omitempty"`  // only the conversations that these ingest runs brought; empty means all fresh ones
}

// A TrainJob is a retraining of exactly one window: the data of train.due.
type TrainJob struct {
	Model  string `json:"model"`
	Window string `json:"window"` // digest of the window manifest, see pipeline/window
	Reason string `json:"reason"`

	Datasets []string `json:"datasets,omitempty"` // ids of the tokens events whose rows the window holds; for the ledger, not for training
}

// An EvalOrder asks for an evaluation: the data of eval.request.
type EvalOrder struct {
	Model    string `json:"model"`              // a model reference: name@alias, name:version, sha256:…, or a directory
	Data     string `json:"data"`               // sha256:… of a dataset, window manifest or uploaded file; or "held-out" for the last window's test split
	Baseline string `json:"baseline,omitempty"` // "" is the base model
	Reply    string `json:"reply,omitempty"`    // NATS subject that gets the score event as well
	Limit    int    `json:"limit,omitempty"`    // generate for at most this many conversations; 0 is the configured number
}
