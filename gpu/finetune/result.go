package finetune

import "time"

// A Point is one step of the loss curve.
type Point struct {
	Step        int      `json:"step"`                   // counted from 1
	Loss        float64  `json:"loss"`                   // mean nats a target over the step's batch
	ValLoss     *float64 `json:"val_loss,omitempty"`     // mean nats a target over the validation set, where it was measured
	ValAccuracy *float64 `json:"val_accuracy,omitempty"` // share of the validation's targets that were the likeliest, where it was measured
	LR          float64  `json:"lr"`
	GradNorm    float64  `json:"grad_norm"` // before clipping
	Tokens      int64    `json:"tokens"`    // tokens in the step
}

// StepInfo is what [Hooks.OnStep] hears.
type StepInfo struct {
	Point
	Total   int           // steps planned
	Epoch   int           // counted from 0
	Took    time.Duration // without validation and saving; 0 without [Hooks.Now]
	Skipped bool          // the gradient was not finite, and nothing was updated
}

// A Result says how training went. The trained weights are in the model.
type Result struct {
	Curve        []Point  `json:"curve"`                   // without skipped steps
	Steps        int      `json:"steps"`                   // steps taken
	Skipped      int      `json:"skipped"`                 // of these, steps whose loss or gradient was not finite
	Tokens       int64    `json:"tokens"`                  // tokens seen
	Targets      int64    `json:"targets"`                 // supervised tokens seen
	StartLoss    *float64 `json:"start_loss,omitempty"`    // validation loss before the first step; nil without validation
	BestLoss     *float64 `json:"best_loss,omitempty"`     // validation loss at BestStep
	BestAccuracy *float64 `json:"best_accuracy,omitempty"` // validation accuracy at BestStep; nil unless it is the metric
	BestStep     int      `json:"best_step"`               // the step whose weights the model has once Run is done; 0 are those it began with
	Stopped      bool     `json:"stopped"`                 // validation stopped improving

	Recomputed int   `json:"-"` // layers whose activations were computed twice to fit [Options.Memory]
	Planned    int   `json:"-"` // steps planned
	Resumed    int   `json:"-"` // step of the checkpoint this run went on from
	Trainable  int64 `json:"-"` // parameters that were trained
	Cut        int   `json:"-"` // conversations longer than MaxLength
	Dropped    int   `json:"-"` // conversations without a target
}
