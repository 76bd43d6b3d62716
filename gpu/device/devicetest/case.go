package devicetest

import (
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
)

// A testCase is one call of one operator, or a few that belong together.
type testCase struct {
	name     string // the operator, and after a slash what is special
	operands []operand
	run      func(c *call)
	product  bool    // judged by Tolerance.Product
	slack    float64 // multiplies the tolerance where a case's inputs are already rounded; 0 is 1
	// check judges what the operands hold afterwards, for those that are judged, and
	// returns the worst difference, as a tolerance is given; nil where there are none.
	check func(after results, limit float64) (worst float64, err error)
}

// An operand is one argument in the device's memory.
type operand struct {
	name    string
	format  device.Format // of its numbers; of integers and bytes it means nothing
	size    int           // bytes
	before  []byte        // contents before the call; nil is poison
	want    []float64     // numbers after it
	exact   []byte        // or its bytes after it; with neither they stay as they were
	scratch bool          // contents after it do not matter
	judged  bool          // contents after it are the case's check's to judge
	lead    int           // bytes it is off alignment where a device computes on mapped files
}

// in is a tensor that is only read.
func in(name string, f device.Format, x []float64) operand {
	b := encode(f, x)
	return operand{name: name, format: f, size: len(b), before: b}
}

// out is a tensor that is assigned.
func out(name string, f device.Format, want []float64) operand {
	return operand{name: name, format: f, size: len(want) * f.Size(), want: want}
}

// inout is a tensor that is changed.
func inout(name string, f device.Format, before, want []float64) operand {
	o := in(name, f, before)
	o.want = want
	return o
}

// scratch is a tensor of n numbers for the device's own use.
func scratch(name string, n int) operand { return operand{name: name, size: 4 * n, scratch: true} }

// inBytes are bytes that are only read.
func inBytes(name string, b []byte) operand { return operand{name: name, size: len(b), before: b} }

// inInts are integers that are only read.
func inInts(name string, x []int32) operand { return inBytes(name, intBytes(x)) }

// outInts are integers that are assigned.
func outInts(name string, want []int32) operand {
	return operand{name: name, size: 4 * len(want), exact: intBytes(want)}
}

// inoutInts are integers that are changed.
func inoutInts(name string, before, want []int32) operand {
	o := inInts(name, before)
	o.exact = intBytes(want)
	return o
}

// judged is o, which the case's check judges.
func judged(o operand) operand {
	o.judged = true
	return o
}

// results are the operands' contents after a call, by name.
type results map[string][]byte

func (r results) numbers(name string, f device.Format) []float64 { return decode(f, r[name]) }

func (r results) ints(name string) []int32 { return toInts(r[name]) }

// A call is a case's run on a device.
type call struct {
	device.Device
	test     testing.TB
	operands map[string]placed
	passes   []*device.Pass
}

// A placed operand lies in the device's memory, between guards.
type placed struct {
	operand
	whole device.Mem // with the guards
	from  int        // where the operand begins in it
}

func (p placed) mem() device.Mem { return p.whole.Slice(p.from, p.from+p.size) }

// m is an operand's memory, empty where the case has none of the name.
func (c *call) m(name string) device.Mem {
	p, ok := c.operands[name]
	if !ok {
		return device.Mem{}
	}
	return p.mem()
}

// t is an operand as a tensor.
func (c *call) t(name string) device.Tensor {
	p, ok := c.operands[name]
	if !ok {
		return device.Tensor{}
	}
	return p.mem().Tensor(p.format, p.size/p.format.Size())
}

// i is an operand as integers.
func (c *call) i(name string) device.Ints { return c.m(name).Ints(c.m(name).N / 4) }

// pass prepares a batch, whose slices must stay as they are.
func (c *call) pass(b device.Batch) *device.Pass {
	c.test.Helper()
	p, err := c.NewPass(limits(b))
	if err != nil {
		c.test.Fatalf("pass: %v", err)
	}
	c.passes = append(c.passes, p)
	c.Prepare(p, b)
	return p
}

// limits are just what a batch needs.
func limits(b device.Batch) device.Limits {
	l := device.Limits{S: 1, N: len(b.Rows)}
	for _, n := range []int{len(b.IDs), len(b.Positions), len(b.Targets), len(b.Weights)} {
		l.M = max(l.M, n)
	}
	if len(b.CuSeqlens) > 0 {
		l.S = len(b.CuSeqlens) - 1
		l.M = max(l.M, int(b.CuSeqlens[l.S]))
	}
	l.Pages = len(b.Pages) / l.S
	return l
}

// guard bytes of poison stand on both sides of every operand: the odd multiple
// of 16 leaves it aligned to that and no more.
const guard = 48

// on runs the case on d and returns what the operands hold afterwards.
func (c *testCase) on(t testing.TB, d device.Device) results {
	t.Helper()
	run := &call{Device: d, test: t, operands: map[string]placed{}}
	defer func() {
		for _, p := range run.passes {
			d.FreePass(p)
		}
		for _, p := range run.operands {
			d.Free(p.whole)
		}
	}()
	inPlace := d.Info().InPlace
	for _, o := range c.operands {
		if o.size == 0 {
			continue
		}
		p := placed{operand: o, from: guard}
		if inPlace {
			p.from += o.lead
		}
		host := make([]byte, p.from+o.size+guard)
		poison(host, 0)
		copy(host[p.from:], o.before)
		var err error
		if p.whole, err = d.Alloc(len(host)); err != nil {
			t.Fatalf("alloc %s: %v", o.name, err)
		}
		run.operands[o.name] = p
		d.Upload(p.whole, host)
	}
	c.run(run)
	whole := results{}
	for name, p := range run.operands {
		whole[name] = make([]byte, p.whole.N)
		d.Download(whole[name], p.whole)
	}
	if err := d.Sync(); err != nil {
		t.Fatalf("sync: %v", err)
	}
	after := results{}
	for name, p := range run.operands {
		b := whole[name]
		for _, part := range [][2]int{{0, p.from}, {p.from + p.size, len(b)}} {
			if at := unpoisoned(b, part[0], part[1]); at >= 0 {
				t.Errorf("%s: byte %d, outside of its %d, was written", name, at-p.from, p.size)
			}
		}
		after[name] = b[p.from : p.from+p.size]
	}
	return after
}
