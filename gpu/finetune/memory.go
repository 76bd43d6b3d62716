package finetune

// fit has the model compute as few layers twice as keep the training within its
// limit of memory.
func (r *run) fit() error {
	r.model.Recompute(0)
	f, err := newJob(r.model.Sketch, r.data, r.options).fit(r.dev)
	if err != nil {
		return err
	}
	r.model.Recompute(f.Recomputed)
	r.recomputed = f.Recomputed
	if limit := r.options.Memory; limit > 0 || f.Recomputed > 0 {
		r.log.Info("fitting into memory", "limit", limit.about(), "expected", Bytes(f.Device()+f.Host).about(),
			"layers", r.model.Config().NumLayers, "computed_twice", f.Recomputed)
	}
	return nil
}
