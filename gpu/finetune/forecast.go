package finetune

import (
	"errors"
	"fmt"
	"slices"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/dry"
)

// A Job is a training that has not begun: all that decides what it takes.
type Job struct {
	// Sketch makes a model like the one that is to be trained on a device that only
	// counts, with the adapters that it has already.
	Sketch  func(device.Device) (*chatglm.Model, error)
	Options Options

	Tokens        int  // of the largest micro-batch
	Conversations int  // in it
	Longest       int  // tokens of the longest conversation
	Validated     bool // there is a validation set
}

// Foresee is the forecast of a training on dev, before its model is loaded, with
// as few layers computed twice as keep it within [Options.Memory], or within the
// device's memory where that is 0. The error is a [DoesNotFitError] where nothing
// keeps it there.
func Foresee(dev device.Device, sketch func(device.Device) (*chatglm.Model, error), train, val []Example, o Options) (Forecast, error) {
	model, err := sketch(dry.New(dry.Like(dev)).Checked())
	if err != nil {
		return Forecast{}, err
	}
	defer model.Close()
	d, err := newData(train, val, o, model.Config().PaddedVocabSize)
	if err != nil {
		return Forecast{}, err
	}
	return newJob(sketch, d, o).fit(dev)
}

// newJob is the training on d.
func newJob(sketch func(device.Device) (*chatglm.Model, error), d data, o Options) Job {
	largest := d.largest(o.BatchTokens)
	return Job{
		Sketch: sketch, Options: o, Tokens: largest.tokens, Conversations: largest.conversations,
		Longest: slices.Max(lengths(slices.Concat(d.train, d.held))), Validated: len(d.val) > 0,
	}
}

// fit is Fit with the limit that the options or the device have.
func (j Job) fit(dev device.Device) (Forecast, error) {
	info := dev.Info()
	limit := int64(j.Options.Memory)
	if limit == 0 {
		limit = info.Memory
	}
	if limit == 0 {
		return j.Forecast(dry.Like(dev), 0)
	}
	return j.Fit(dry.Like(dev), limit, info.InPlace)
}

// A Forecast is what a training takes, in bytes: of the device's memory, but for
// Host.
type Forecast struct {
	Recomputed  int   // layers computed twice
	Weights     int64 // of the model
	Gradients   int64 // with new adapters, and the lower halves of bfloat16 weights
	Optimizer   int64 // what it remembers, and the moving average
	Activations int64 // of the largest micro-batch, with the batch itself
	Workspace   int64 // of operators
	// Host is memory of the host, wherever the rest is: a copy of the best weights,
	// and what a checkpoint passes through. The program itself is not in it.
	Host int64
	Step dry.Work // of one micro-batch and one update
}

// Device is what the device's memory has to hold.
func (f Forecast) Device() int64 {
	return f.Weights + f.Gradients + f.Optimizer + f.Activations + f.Workspace
}

// Forecast runs one step of the training on a machine that only counts, with so
// many layers computed twice.
func (j Job) Forecast(m dry.Machine, recompute int) (f Forecast, err error) {
	d := dry.New(m)
	model, err := j.Sketch(d.Checked())
	if err != nil {
		return f, err
	}
	defer model.Close()
	so := int64(0)
	since := func() int64 {
		n := d.Used() - so
		so = d.Used()
		return n
	}
	f.Weights, f.Recomputed = since(), recompute
	if err := prepare(model, j.Options); err != nil {
		return f, err
	}
	if err := errors.Join(j.Options.checkGradients(model), model.SetObjective(j.Options.objective())); err != nil {
		return f, err
	}
	f.Gradients = since()
	model.Recompute(recompute)
	u := &updater{dev: model.Device(), gradients: model.Gradients()}
	defer u.close()
	if err := u.allocate(j.Options.groups(model), j.Options); err != nil {
		return f, err
	}
	f.Optimizer = since()
	if err := model.Reserve(j.Tokens, j.Conversations, true); err != nil {
		return f, err
	}
	f.Activations = since()
	f.Workspace = d.Reserved()
	f.Activations -= f.Workspace
	f.Host = j.host(model)
	d.Forget()
	if err := j.step(model, u); err != nil {
		return f, err
	}
	f.Step = d.Work()
	return f, nil
}

// host counts the copies that a run keeps beside the device.
func (j Job) host(model *chatglm.Model) int64 {
	all, largest := int64(0), int64(0)
	for _, p := range model.Trainable() {
		bytes := 4 * int64(p.Len())
		all += bytes
		largest = max(largest, bytes)
	}
	if !j.Validated {
		all = 0
	}
	return all + largest
}

// step takes a step on conversations of equal length.
func (j Job) step(model *chatglm.Model, u *updater) error {
	var all []chatglm.Sequence
	for i := range max(1, j.Conversations) {
		n := j.Tokens*(i+1)/j.Conversations - j.Tokens*i/j.Conversations
		all = append(all, chatglm.Sequence{IDs: make([]int32, n), Labels: make([]int32, n)})
	}
	u.clear()
	if _, err := model.Accumulate(chatglm.Pack(all), 1, 0); err != nil {
		return err
	}
	u.update(1, 1)
	return nil
}

// Fit is the forecast with as few layers computed twice as keep it within a
// limit of memory; host says that the device's memory is the host's, too. The
// error names what takes how much, and the smallest change that fits.
func (j Job) Fit(m dry.Machine, limit int64, host bool) (Forecast, error) {
	takes := func(f Forecast) int64 {
		if host {
			return f.Device() + f.Host
		}
		return f.Device()
	}
	layers := 0
	var f Forecast
	for n := 0; n <= layers; n++ {
		var err error
		if f, err = j.Forecast(m, n); err != nil {
			return f, err
		}
		if takes(f) <= limit {
			return f, nil
		}
		if n == 0 {
			model, err := j.Sketch(dry.New(m).Checked())
			if err != nil {
				return f, err
			}
			layers = model.Config().NumLayers
		}
	}
	copies := ""
	if host {
		copies = fmt.Sprintf(", copies on the host %s", Bytes(f.Host).about())
	}
	return f, &DoesNotFitError{
		Takes: fmt.Sprintf("memory is %s: weights take %s, gradients %s, the optimizer %s%s and a micro-batch of %d tokens %s, with every layer computed twice",
			Bytes(limit), Bytes(f.Weights).about(), Bytes(f.Gradients).about(), Bytes(f.Optimizer).about(), copies,
			j.Tokens, Bytes(f.Activations+f.Workspace).about()),
		Advice: j.advice(m, limit, f, takes),
	}
}

// A DoesNotFitError says that a training needs more memory than it may have.
type DoesNotFitError struct {
	Takes  string // what takes how much
	Advice string // the smallest change with which it fits
}

func (e *DoesNotFitError) Error() string { return e.Takes + "; " + e.Advice }

// advice is the smallest change with which the job fits, or nearly the smallest.
func (j Job) advice(m dry.Machine, limit int64, f Forecast, takes func(Forecast) int64) string {
	with := func(change func(*Job)) (Forecast, bool) {
		other := j
		change(&other)
		got, err := other.Forecast(m, f.Recomputed)
		return got, err == nil && takes(got) <= limit
	}
	shorter := func(tokens int) func(*Job) {
		return func(o *Job) {
			o.Tokens, o.Conversations = tokens, max(1, min(j.Conversations, j.Conversations*tokens/max(1, j.Tokens)))
		}
	}
	low, high := 0, j.Tokens // the largest number of tokens that fits, if any
	for low < high {
		middle := (low + high + 1) / 2
		if _, fits := with(shorter(middle)); fits {
			low = middle
		} else {
			high = middle - 1
		}
	}
	if low >= j.Longest {
		return fmt.Sprintf("set batch_tokens to %d or less", low)
	}
	for _, fewer := range []struct {
		text   string
		change func(*Job)
	}{
		{"set optimizer_bits to 8", func(o *Job) { o.Options.OptimizerBits = 8 }},
		{"set gradient_bits to 16", func(o *Job) { o.Options.GradientBits = 16 }},
		{"set optimizer_bits to 8 and gradient_bits to 16", func(o *Job) { o.Options.OptimizerBits, o.Options.GradientBits = 8, 16 }},
	} {
		if _, fits := with(fewer.change); fits {
			return fewer.text
		}
	}
	const useful = 32 // tokens; a shorter conversation says nothing
	if low >= useful {
		return fmt.Sprintf("the longest conversation has %d tokens: set max_length and batch_tokens to %d or less", j.Longest, low)
	}
	needed, _ := with(shorter(j.Longest))
	text := fmt.Sprintf("set memory to %s or more, and batch_tokens to %d", Bytes((takes(needed)+1<<20-1)>>20<<20), j.Longest)
	if Whole(j.Options.Method) {
		text += ", or method to lora"
	}
	return text
}
