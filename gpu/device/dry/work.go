package dry

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Work is what operators were asked for, by their names.
type Work map[string]Load

// A Load is what one operator was asked for.
type Load struct {
	Calls int
	Flops float64 // multiplications and additions of products
	Bytes float64 // of operands read and written once
}

func (w Work) add(operator string, flops float64, bytes int) {
	l := w[operator]
	l.Calls++
	l.Flops += flops
	l.Bytes += float64(bytes)
	w[operator] = l
}

// Rates are how fast a machine is.
type Rates struct {
	Flops float64 // of large products, a second
	Bytes float64 // of memory read or written, a second
	Call  float64 // seconds that a call costs beside its work
}

// On is about how long the work takes: of each operator the longer of computing
// and moving bytes, one after the other.
func (w Work) On(r Rates) time.Duration {
	seconds := 0.0
	for _, name := range w.names() {
		seconds += w[name].on(r)
	}
	return time.Duration(seconds * float64(time.Second))
}

func (l Load) on(r Rates) float64 {
	return max(l.Flops/r.Flops, l.Bytes/r.Bytes) + float64(l.Calls)*r.Call
}

// Flops are all operations of products.
func (w Work) Flops() float64 {
	sum := 0.0
	for _, name := range w.names() {
		sum += w[name].Flops
	}
	return sum
}

// Longest lists the operators, those that take longest first.
func (w Work) Longest(r Rates) []string {
	return slices.SortedFunc(maps.Keys(w), func(a, b string) int {
		return cmp.Or(cmp.Compare(w[b].on(r), w[a].on(r)), cmp.Compare(a, b))
	})
}

// names are in one order, so that sums are equal.
func (w Work) names() []string { return slices.Sorted(maps.Keys(w)) }
