package devicetest

import "github.com/glmflow/glmflow/gpu/device"

// A passState is what the device keeps of a pass.
type passState struct {
	on    *deferring
	inner *device.Pass
	freed bool
}

// state is that of a pass of this device.
func (d *deferring) state(p *device.Pass) *passState {
	s, ok := p.On.(*passState)
	switch {
	case !ok || s.on != d:
		panic("devicetest: a pass of another device")
	case s.freed:
		panic("devicetest: a pass that was freed")
	}
	return s
}

// NewPass takes the inner device's.
func (d *deferring) NewPass(l device.Limits) (p *device.Pass, err error) {
	d.handOver(func() {
		s := &passState{on: d}
		err = d.take(func() (err error) {
			s.inner, err = d.inner.NewPass(l)
			return err
		})
		if err == nil {
			d.live++
			p = &device.Pass{On: s}
		}
	})
	return p, err
}

// FreePass gives it back, after the operators so far.
func (d *deferring) FreePass(p *device.Pass) {
	d.handOver(func() {
		s := d.state(p)
		s.freed = true
		d.live--
		free := func() { d.inner.FreePass(s.inner) }
		if d.fault != nil {
			free()
			return
		}
		d.push(entry{run: free, touches: []touch{{s, 0, 1}}})
	})
}

// Prepare reads the batch's slices with Sync.
func (d *deferring) Prepare(p *device.Pass, b device.Batch) {
	d.handOver(func() {
		d.counts.Prepares++
		s := d.state(p)
		d.push(entry{transfer: true, touches: []touch{{s, 0, 1}}, run: func() { d.inner.Prepare(s.inner, b) }})
	})
}

// Advance is an operator on the pass.
func (d *deferring) Advance(p *device.Pass, ids device.Ints) {
	d.launch(func(r *recorder) func() {
		pass, ids := r.pass(p), r.ints(ids)
		return func() { d.inner.Advance(pass, ids) }
	})
}
