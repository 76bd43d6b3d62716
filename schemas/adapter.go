package schemas

// An AdapterRow describes a trained candidate: the one row of adapter.
type AdapterRow struct {
	Name      string  `parquet:"name" json:"name"`     // the model's name, "assistant"
	Method    string  `parquet:"method" json:"method"` // "lora", "ptuning", "freeze" or "full"
	Files     string  `parquet:"files" json:"files"`   // digest of the artifact tree: a PEFT directory, or a full checkpoint
	Base      string  `parquet:"base" json:"base"`     // digest of the base model's tree
	Parent    string  `parquet:"parent" json:"parent"` // digest of the adapter it continues, "" when from the base
	Window    string  `parquet:"window" json:"window"` // digest of the window manifest it was trained on
	Config    string  `parquet:"config" json:"config"` // the training options, JSON
	Device    string  `parquet:"device" json:"device"` // kind of processor; bytes are equal on the same kind
	Seed      uint64  `parquet:"seed" json:"seed"`
	Trainable int64   `parquet:"trainable" json:"trainable"` // trainable parameters
	Steps     int64   `parquet:"steps" json:"steps"`         // optimizer steps taken
	BestStep  int64   `parquet:"best_step" json:"best_step"` // the step whose weights these are
	Tokens    int64   `parquet:"tokens" json:"tokens"`       // tokens seen
	Targets   int64   `parquet:"targets" json:"targets"`     // supervised tokens seen
	ValLoss   float64 `parquet:"val_loss" json:"val_loss"`   // mean nats a target on the validation split, at BestStep
	Curve     []Point `parquet:"curve,list" json:"curve"`    // the loss curve
}

// A Point is one measured step of a training run.
type Point struct {
	Step     int64    `parquet:"step" json:"step"`
	Loss     float64  `parquet:"loss" json:"loss"`                            // mean nats a target over the step's batch
	ValLoss  *float64 `parquet:"val_loss,optional" json:"val_loss,omitempty"` // where the step was validated
	LR       float64  `parquet:"lr" json:"lr"`
	GradNorm float64  `parquet:"grad_norm" json:"grad_norm"` // before clipping
	Tokens   int64    `parquet:"tokens" json:"tokens"`       // tokens in the step
}
