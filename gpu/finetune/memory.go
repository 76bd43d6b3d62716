package finetune

import (
	"slices"

	"github.com/glmflow/glmflow/gpu/device/dry"
)

// fit chooses how many layers are computed twice so that the training stays
// within its limit: as few as possible. Where none are enough the error says what
// would be.
func (r *run) fit(largest size) error {
	r.model.Recompute(0)
	limit := r.options.Memory
	if limit == 0 {
		return nil
	}
	job := Job{
		Sketch: r.model.Sketch, Options: r.options,
		Tokens: largest.tokens, Conversations: largest.conversations,
		Longest:   slices.Max(lengths(slices.Concat(r.data.train, r.data.held))),
		Validated: len(r.data.val) > 0,
	}
	f, err := job.Fit(dry.Like(r.dev), int64(limit), r.dev.Info().InPlace)
	if err != nil {
		return err
	}
	r.model.Recompute(f.Recomputed)
	r.recomputed = f.Recomputed
	r.log.Info("fitting into memory", "limit", limit.about(), "expected", Bytes(f.Device()+f.Host).about(),
		"layers", r.model.Config().NumLayers, "computed_twice", f.Recomputed)
	return nil
}
