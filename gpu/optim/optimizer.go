package optim

import (
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
)

// A Rule is how weights are updated: [AdamW], [SGD] or [Lion].
type Rule interface {
	// Moments is how many numbers it remembers for every weight.
	Moments() int
	// Signed reports whether moment k, from 0 on, may be negative.
	Signed(k int) bool
	// Update has the device take step number step, counted from 1, on the weights
	// of g: with learning rate lr, the gradient multiplied by factor first. Where
	// factor is not a number nothing changes.
	Update(dev device.Device, g Group, m []device.Moment, step int, lr float32, factor device.Tensor)
}

// An Optimizer follows a rule with groups of weights, and remembers what the rule
// needs.
type Optimizer struct {
	rule    Rule
	dev     device.Device
	groups  []Group
	moments [][]device.Moment // of each group
	steps   int
}

// New makes zero moments for the weights of groups.
func New(dev device.Device, groups []Group, rule Rule) (*Optimizer, error) {
	o := &Optimizer{rule: rule, dev: dev, groups: groups, moments: make([][]device.Moment, len(groups))}
	for i, g := range groups {
		for range rule.Moments() {
			m, err := newMoment(dev, g)
			if err != nil {
				o.Close()
				return nil, fmt.Errorf("optimizer state of %s: %w", g.name(), err)
			}
			o.moments[i] = append(o.moments[i], m)
		}
	}
	return o, nil
}

func newMoment(dev device.Device, g Group) (device.Moment, error) {
	values, scales := device.MomentBytes(g.Len(), g.Narrow)
	v, err := dev.Alloc(values)
	if err != nil || !g.Narrow {
		return device.Moment{V: v}, err
	}
	scale, err := dev.Alloc(scales)
	if err != nil {
		dev.Free(v)
		return device.Moment{}, err
	}
	return device.Moment{V: v, Scale: scale.Tensor(device.F32, scales/4)}, nil
}

// Bytes is what the rule's moments of the groups take.
func Bytes(rule Rule, groups []Group) int64 {
	n := int64(0)
	for _, g := range groups {
		values, scales := device.MomentBytes(g.Len(), g.Narrow)
		n += int64(rule.Moments()) * int64(values+scales)
	}
	return n
}

// Close gives the moments' memory back.
func (o *Optimizer) Close() {
	for _, of := range o.moments {
		for _, m := range of {
			o.dev.Free(m.V)
			o.dev.Free(m.Scale.Mem)
		}
	}
	o.moments = nil
}

// Step has the device update all weights with learning rate lr, their gradients
// multiplied by factor first, one number on the device; where that is not a
// number nothing changes (see [device.Device].ClipNorm). It waits for nothing:
// once it is known that the update was made, Done counts it.
func (o *Optimizer) Step(lr float32, factor device.Tensor) {
	for i, g := range o.groups {
		o.rule.Update(o.dev, g, o.moments[i], o.steps+1, lr*g.Rate, factor)
	}
}

// Done counts the last step as an update.
func (o *Optimizer) Done() { o.steps++ }

// Steps is the number of updates so far: AdamW's bias corrections depend on it.
func (o *Optimizer) Steps() int { return o.steps }

// SetSteps continues a count that was saved.
func (o *Optimizer) SetSteps(n int) { o.steps = n }

// State lists what the optimizer remembers, besides the count of steps: for
// saving and restoring, the moments of each weight by its name.
func (o *Optimizer) State() []Tensor {
	var all []Tensor
	for i, g := range o.groups {
		for k, m := range o.moments[i] {
			zero := device.DynamicCode(o.rule.Signed(k)).Code(0)
			for _, p := range g.places() {
				name := fmt.Sprintf("moment%d/%s", k+1, p.name)
				if !g.Narrow {
					all = append(all, numbers(o.dev, name, m.V.Slice(4*p.from, 4*p.to)))
					continue
				}
				of := m.Slice(p.from, p.end)
				_, scales := device.MomentBytes(p.to-p.from, true)
				all = append(all, codes(o.dev, name, of.V, p.to-p.from, zero),
					numbers(o.dev, name+"/scale", of.Scale.Mem.Slice(0, scales)))
			}
		}
	}
	return all
}
