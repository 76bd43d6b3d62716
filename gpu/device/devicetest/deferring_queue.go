package devicetest

import "github.com/glmflow/glmflow/gpu/device"

// An entry is something that waits to be done.
type entry struct {
	run      func()
	transfer bool // between host and device: may change places with what it does not touch
	touches  []touch
}

// A touch is a run of bytes of a block, or a pass.
type touch struct {
	what     any // *block or *passState
	from, to uint64
}

func (t touch) meets(o touch) bool {
	return t.what == o.what && t.from < o.to && o.from < t.to
}

func (e *entry) meets(o *entry) bool {
	for _, t := range e.touches {
		for _, u := range o.touches {
			if t.meets(u) {
				return true
			}
		}
	}
	return false
}

// A recorder finds the inner device's operands of a call and notes what they
// touch.
type recorder struct {
	d        *deferring
	touches  []touch
	assigned []device.Mem // outputs, in the inner device's memory
	first    []touch      // where they are
}

// mem is an operand that is read, or read and written.
func (r *recorder) mem(m device.Mem) device.Mem {
	if m.Empty() {
		return device.Mem{}
	}
	b, from := r.d.find(m)
	r.touches = append(r.touches, touch{b, from, from + uint64(m.N)})
	return b.mem.Slice(int(from), int(from)+m.N)
}

// output is an operand that is assigned: nothing may rely on what it holds.
func (r *recorder) output(m device.Mem) device.Mem {
	if m.Empty() {
		return device.Mem{}
	}
	b, from := r.d.find(m)
	r.first = append(r.first, touch{b, from, from + uint64(m.N)})
	here := b.mem.Slice(int(from), int(from)+m.N)
	r.assigned = append(r.assigned, here)
	return here
}

func (r *recorder) in(t device.Tensor) device.Tensor {
	t.Mem = r.mem(t.Mem)
	return t
}

func (r *recorder) out(t device.Tensor) device.Tensor {
	t.Mem = r.output(t.Mem)
	return t
}

func (r *recorder) ints(x device.Ints) device.Ints { return device.Ints{Mem: r.mem(x.Mem), N: x.N} }
func (r *recorder) outInts(x device.Ints) device.Ints {
	return device.Ints{Mem: r.output(x.Mem), N: x.N}
}

// pass is the inner device's.
func (r *recorder) pass(p *device.Pass) *device.Pass {
	s := r.d.state(p)
	r.touches = append(r.touches, touch{s, 0, 1})
	return s.inner
}

// poisoned overwrites outputs with NaNs, but those that are inputs, too.
func (r *recorder) poisoned() {
	for i, m := range r.assigned {
		input := false
		for _, t := range r.touches {
			input = input || t.meets(r.first[i])
		}
		if !input {
			r.d.inner.Upload(m, r.d.poison(m.N))
		}
	}
}

// poison is n bytes of NaNs, which nobody changes.
func (d *deferring) poison(n int) []byte {
	if len(d.nans) < n {
		d.nans = make([]byte, 2*n)
		poison(d.nans, 0)
	}
	return d.nans[:n]
}

// launch queues an operator, whose operands record finds at once.
func (d *deferring) launch(record func(r *recorder) func()) {
	d.handOver(func() {
		d.counts.Launches++
		r := &recorder{d: d}
		run := record(r)
		d.push(entry{touches: append(r.touches, r.first...), run: func() {
			r.poisoned()
			run()
		}})
	})
}

func (d *deferring) push(e entry) {
	if d.fault == nil {
		d.queue = append(d.queue, e)
	}
}

// drain does what waits, transfers earlier or later than they were asked for.
func (d *deferring) drain() {
	queue := d.shuffled()
	d.queue = nil
	for _, e := range queue {
		e.run()
	}
}

// shuffled is the queue with every transfer moved by up to a few places, as far
// as nothing is in its way.
func (d *deferring) shuffled() []entry {
	q := d.queue
	for i := range q {
		if !q[i].transfer {
			continue
		}
		at, step := i, 1-2*d.rand.IntN(2)
		for range d.rand.IntN(8) {
			next := at + step
			if next < 0 || next >= len(q) || q[at].meets(&q[next]) {
				break
			}
			q[at], q[next] = q[next], q[at]
			at = next
		}
	}
	return q
}

// Sync does all that waits, and lets downloads arrive.
func (d *deferring) Sync() (err error) {
	d.handOver(func() {
		d.counts.Syncs++
		if d.failSync > 0 {
			if d.failSync--; d.failSync == 0 {
				d.fault = ErrFault
			}
		}
		if d.fault == nil {
			d.drain()
			d.fault = d.inner.Sync()
		}
		if d.fault == nil {
			for _, f := range d.arrive {
				f()
			}
		}
		d.queue, d.arrive = nil, nil
		err = d.fault
	})
	return err
}
