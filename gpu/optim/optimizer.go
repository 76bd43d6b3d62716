package optim

import (
	"fmt"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
)

// A Rule is how one parameter is updated: [AdamW], [SGD] or [Lion].
type Rule interface {
	// Moments is how many numbers it remembers for every weight.
	Moments() int
	// Update takes step number step, counted from 1, on p: with learning rate
	// lr, the gradient multiplied by gradScale first.
	Update(dev device.Device, p Param, m []device.Moment, step int, lr, gradScale float32)
}

// A Param is a parameter in training.
type Param struct {
	*chatglm.Param
	Rate  float32 // multiplies the learning rate
	Decay float32 // weight decay; decoupled but for SGD, which adds it to the gradient
}

// narrowFrom is the number of values from which on a parameter's moments may be
// of 8 bits, as in bitsandbytes: smaller ones are hardly memory, and norms and
// biases suffer most.
const narrowFrom = 4096

// An Optimizer follows a rule with a set of parameters, and remembers what the
// rule needs.
type Optimizer struct {
	rule    Rule
	dev     device.Device
	params  []Param
	moments [][]device.Moment // of each parameter
	steps   int
}

// New makes zero moments for params, which must be trainable: of 32 bits, or of
// 8 for parameters of 4096 values or more.
func New(dev device.Device, params []Param, rule Rule, bits int) (*Optimizer, error) {
	o := &Optimizer{rule: rule, dev: dev, params: params}
	for _, p := range params {
		if p.Grad.Len() != p.W.Len() {
			o.Close()
			return nil, fmt.Errorf("optimizer: %s is not trainable", p.Name)
		}
		var of []device.Moment
		for range rule.Moments() {
			m, err := newMoment(dev, p.W.Len(), bits)
			if err != nil {
				o.moments = append(o.moments, of)
				o.Close()
				return nil, fmt.Errorf("optimizer state of %s: %w", p.Name, err)
			}
			of = append(of, m)
		}
		o.moments = append(o.moments, of)
	}
	return o, nil
}

func newMoment(dev device.Device, n, bits int) (device.Moment, error) {
	values, scales := device.MomentSizes(n, isNarrow(n, bits))
	v, err := dev.Alloc(values)
	if err != nil {
		return device.Moment{}, err
	}
	scale, err := dev.Alloc(scales)
	if err != nil {
		dev.Free(v)
		return device.Moment{}, err
	}
	return device.Moment{V: v, Scale: scale}, nil
}

func isNarrow(n, bits int) bool { return bits == 8 && n >= narrowFrom }

// Bytes is what the rule's moments of a parameter of n values take.
func Bytes(rule Rule, n, bits int) int64 {
	values, scales := device.MomentSizes(n, isNarrow(n, bits))
	return 4 * int64(rule.Moments()) * int64(values+scales)
}

// Close gives the moments' memory back.
func (o *Optimizer) Close() {
	for _, of := range o.moments {
		for _, m := range of {
			o.dev.Free(m.V)
			o.dev.Free(m.Scale)
		}
	}
	o.moments = nil
}

// Step updates every parameter with learning rate lr, its gradient multiplied by
// gradScale first (see [ClipScale]).
func (o *Optimizer) Step(lr, gradScale float32) {
	o.steps++
	for i, p := range o.params {
		o.rule.Update(o.dev, p, o.moments[i], o.steps, lr*p.Rate, gradScale)
	}
}

// Steps is the number of updates so far: AdamW's bias corrections depend on it.
func (o *Optimizer) Steps() int { return o.steps }

// SetSteps continues a count that was saved.
func (o *Optimizer) SetSteps(n int) { o.steps = n }

// A Tensor is a part of an optimizer's state.
type Tensor struct {
	Name string
	Mem  device.Mem
}

// State lists what the optimizer remembers, besides the count of steps: for
// saving and restoring.
func (o *Optimizer) State() []Tensor {
	var all []Tensor
	for i, of := range o.moments {
		for k, m := range of {
			name := fmt.Sprintf("moment%d/%s", k+1, o.params[i].Name)
			all = append(all, Tensor{name, m.V})
			if m.Narrow() {
				all = append(all, Tensor{name + "/scale", m.Scale})
			}
		}
	}
	return all
}
