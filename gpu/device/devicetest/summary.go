package devicetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Summary is what a run of the suite has seen of a device.
type Summary struct {
	Device    string // its kind
	Cases     int
	Checks    int // tensors compared, with answers or with another run's bits
	operators map[string]*operatorSummary
}

type operatorSummary struct {
	cases, checks int
	worst         float64 // difference beyond the rounding of storage, as a tolerance is given
	share         float64 // of what is allowed
	at            string  // the case of the largest share
}

// of is the summary of a case's operator.
func (s *Summary) of(c *testCase) *operatorSummary {
	name, _, _ := strings.Cut(c.name, "/")
	o := s.operators[name]
	if o == nil {
		o = &operatorSummary{}
		s.operators[name] = o
	}
	return o
}

// count counts checks of a case.
func (s *Summary) count(c *testCase, n int) {
	s.Checks += n
	s.of(c).checks += n
}

// differ notes a difference of worst where limit is allowed.
func (s *Summary) differ(c *testCase, operand string, worst, limit float64) {
	o := s.of(c)
	o.worst = max(o.worst, worst)
	if share := worst / limit; share > o.share || o.at == "" {
		o.share, o.at = share, c.name+": "+operand
	}
}

// Operators are the names of the operators that were compared, sorted.
func (s *Summary) Operators() []string { return slices.Sorted(maps.Keys(s.operators)) }

// Worst is the largest difference of an operator's results from float64, in the
// measure of [Tolerance].
func (s *Summary) Worst(operator string) float64 {
	if o := s.operators[operator]; o != nil {
		return o.worst
	}
	return 0
}

// String is a table by operator.
func (s *Summary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Conformance of %s: %d checks in %d cases; worst differences by operator:\n", s.Device, s.Checks, s.Cases)
	fmt.Fprintf(&b, "%-18s %6s %7s %9s %9s  %s\n", "operator", "cases", "checks", "worst", "allowed", "where")
	for _, name := range s.Operators() {
		o := s.operators[name]
		fmt.Fprintf(&b, "%-18s %6d %7d %9.2g %8.0f%%  %s\n", name, o.cases, o.checks, o.worst, 100*o.share, o.at)
	}
	return b.String()
}
