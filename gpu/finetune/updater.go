package finetune

import (
	"fmt"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/optim"
)

// An updater changes a model's weights by their gradients. It is all that a
// training has on the device besides the model.
type updater struct {
	dev       device.Device
	gradients []device.Tensor
	norm      device.Tensor // [2] of all gradients, and the factor that clips it
	optimizer *optim.Optimizer
	average   *optim.Average // nil without one
}

// allocate takes the memory of a training of what is trainable in the model: that
// of an updater, and of the passes over micro-batches of up to such a size. It
// needs no data, and the steps take no more.
func allocate(model *chatglm.Model, o Options, largest size) (*updater, error) {
	u := &updater{dev: model.Device(), gradients: model.Gradients()}
	if err := u.allocate(o.groups(model), o); err != nil {
		u.close()
		return nil, err
	}
	if err := model.Reserve(largest.tokens, largest.conversations, true); err != nil {
		u.close()
		return nil, err
	}
	return u, nil
}

func (u *updater) allocate(groups []optim.Group, o Options) (err error) {
	if u.norm, err = device.NewTensor(u.dev, device.F32, 2); err != nil {
		return fmt.Errorf("norm of the gradients: %w", err)
	}
	if u.optimizer, err = optim.New(u.dev, groups, o.rule()); err != nil {
		return err
	}
	if o.EMA > 0 {
		u.average, err = optim.NewAverage(u.dev, groups, o.EMA)
	}
	return err
}

func (u *updater) close() {
	u.dev.Free(u.norm.Mem)
	if u.optimizer != nil {
		u.optimizer.Close()
	}
	if u.average != nil {
		u.average.Close()
	}
}

// clear has the device zero all gradients.
func (u *updater) clear() {
	for _, g := range u.gradients {
		u.dev.Zero(g.Mem)
	}
}

// update has the device change the weights by their gradients, whose norm is at
// most limit then (0 does not limit). norm is the one before, which is there after
// the next Sync; where it is not finite nothing changes.
func (u *updater) update(lr, limit float32) (norm []float32) {
	u.dev.ClipNorm(u.norm, u.gradients, limit)
	u.optimizer.Step(lr, u.norm.Slice(1, 2))
	norm = make([]float32, 1)
	u.dev.Download(device.Raw(norm), u.norm.Slice(0, 1).Mem)
	return norm
}

// done takes into account that the last update was made.
func (u *updater) done() {
	u.optimizer.Done()
	if u.average != nil {
		u.average.Add(u.optimizer.Steps())
	}
}

// state lists what it remembers, besides the count of updates.
func (u *updater) state() []optim.Tensor {
	all := u.optimizer.State()
	if u.average != nil {
		all = append(all, u.average.State()...)
	}
	return all
}
