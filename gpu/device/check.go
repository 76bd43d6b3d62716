package device

import (
	"fmt"
	"slices"
)

// Checked is d with every argument of every operator checked before d sees it:
// sizes, formats and alignment of tensors, the contents of batches. Wrong ones
// panic with the operator's and the argument's name. A backend's Open returns
// its device like this, and the backend itself checks nothing.
func Checked(d Device) Device { return &checked{Device: d} }

// checked forwards what takes no operands as it is.
type checked struct{ Device }

// An operator is a call that is being checked, by its name.
type operator string

// fail panics: wrong arguments are a defect in the caller.
func (o operator) fail(format string, args ...any) {
	panic(fmt.Sprintf("device: %s: ", string(o)) + fmt.Sprintf(format, args...))
}

func (o operator) require(ok bool, format string, args ...any) {
	if !ok {
		o.fail(format, args...)
	}
}

// mem checks where an operand begins.
func (o operator) mem(argument string, m Mem) {
	if m.begin()%OperandAlignment != 0 {
		o.fail("%s begins at a byte that is no multiple of %d", argument, OperandAlignment)
	}
}

// tensor checks an operand of n numbers in one of some formats, F32 where none is
// named.
func (o operator) tensor(argument string, t Tensor, n int, formats ...Format) {
	if len(formats) == 0 {
		formats = []Format{F32}
	}
	if t.N != n || t.Mem.N != n*t.Format.Size() {
		o.fail("%s has %d numbers in %d bytes, want %d numbers", argument, t.N, t.Mem.N, n)
	}
	if !slices.Contains(formats, t.Format) && n > 0 {
		o.fail("%s is %v, want %v", argument, t.Format, formats)
	}
	o.mem(argument, t.Mem)
}

// optional checks an operand that may be empty.
func (o operator) optional(argument string, t Tensor, n int, formats ...Format) {
	if !t.Empty() {
		o.tensor(argument, t, n, formats...)
	}
}

func (o operator) ints(argument string, x Ints, n int) {
	if x.N != n || x.Mem.N != 4*n {
		o.fail("%s has %d integers in %d bytes, want %d integers", argument, x.N, x.Mem.N, n)
	}
	o.mem(argument, x.Mem)
}

func (o operator) matrix(argument string, w Matrix, rows, columns int) {
	if wrong := w.misfit(rows, columns); wrong != "" {
		o.fail("%s %s", argument, wrong)
	}
	if !w.Scales.Empty() {
		o.tensor("scales of "+argument, w.Scales, w.Scales.N)
	}
	// Weights may lie in a mapped file, wherever it has them.
}

// gradient checks a matrix's gradient, which may be empty.
func (o operator) gradient(argument string, g Tensor, w Matrix, n int) {
	if g.Empty() {
		return
	}
	if !w.Format.trains() {
		o.fail("%s is asked for of weights in %v, which are frozen", argument, w.Format)
	}
	formats := []Format{F32}
	if w.Format == BF16 {
		formats = append(formats, BF16)
	}
	o.tensor(argument, g, n, formats...)
}

// alike checks that the tensors that are given have one format.
func (o operator) alike(kind string, all ...Tensor) {
	first := Tensor{}
	for _, t := range all {
		switch {
		case t.Empty():
		case first.Empty():
			first = t
		case t.Format != first.Format:
			o.fail("%s are %v and %v in one call", kind, first.Format, t.Format)
		}
	}
}

// a checks an activation that may be F32 or BF16.
func (o operator) a(argument string, t Tensor, n int) { o.tensor(argument, t, n, F32, BF16) }

func (o operator) optionalA(argument string, t Tensor, n int) { o.optional(argument, t, n, F32, BF16) }

func (o operator) pass(p *Pass) {
	if p == nil {
		o.fail("there is no pass")
	}
}

func (o operator) heads(s Heads) {
	if s.G < 1 || s.A < 1 || s.A%s.G != 0 || s.Rotary%2 != 0 || s.Rotary > s.D || s.D < 1 {
		o.fail("heads %+v: want whole groups and an even rotary width of at most D", s)
	}
}

func (o operator) prefix(argument string, x *Prefix, s Heads) {
	if x == nil {
		return
	}
	line := s.G * s.D
	o.require(x.N > 0, "%s has %d positions", argument, x.N)
	o.require(x.K >= 0 && x.V >= 0 && x.K+line <= x.Stride && x.V+line <= x.Stride,
		"%s has keys at %d and values at %d of rows of %d numbers, want room for %d groups of %d", argument, x.K, x.V, x.Stride, s.G, s.D)
	o.tensor(argument, x.Table, x.N*x.Stride)
}
