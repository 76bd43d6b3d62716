package devicetest

import (
	"bytes"
	"math"
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
)

// limit is what the case may differ by.
func (c *testCase) limit(tol Tolerance) float64 {
	limit := tol.Other
	if c.product {
		limit = tol.Product
	}
	if c.slack > 0 {
		limit *= c.slack
	}
	return limit
}

// verify compares with what was wanted.
func (c *testCase) verify(t testing.TB, after results, tol Tolerance, sum *Summary) {
	t.Helper()
	sum.Cases++
	sum.of(c).cases++
	limit := c.limit(tol)
	if c.check != nil {
		sum.count(c, 1)
		worst, err := c.check(after, limit)
		sum.differ(c, "judged", worst, limit)
		if err != nil {
			t.Error(err)
		}
	}
	for _, o := range c.operands {
		if o.scratch || o.judged || o.size == 0 {
			continue
		}
		sum.count(c, 1)
		got := after[o.name]
		switch {
		case o.want != nil:
			worst, at := apart(o.format, decode(o.format, got), o.want)
			sum.differ(c, o.name, worst, limit)
			if !(worst <= limit) {
				t.Errorf("%s[%d] of %d = %g, want %g: off by %.2g of it and the root mean square, %.2g is allowed",
					o.name, at, len(o.want), decode(o.format, got)[at], o.want[at], worst, limit)
			}
		case o.exact != nil:
			if at := differs(got, o.exact); at >= 0 {
				at -= at % 4
				t.Errorf("%s: from byte %d % x, want % x", o.name, at, got[at:min(at+4, len(got))], o.exact[at:min(at+4, len(got))])
			}
		default:
			if at := differs(got, o.before); at >= 0 {
				t.Errorf("%s is only read, but byte %d of %d changed from %#02x to %#02x", o.name, at, o.size, o.before[at], got[at])
			}
		}
	}
}

// same compares bits.
func (c *testCase) same(t testing.TB, what string, got, first results, sum *Summary) {
	t.Helper()
	for _, o := range c.operands {
		if o.scratch || o.size == 0 {
			continue
		}
		sum.count(c, 1)
		if at := differs(got[o.name], first[o.name]); at >= 0 {
			t.Errorf("%s: %s is not bit for bit that of the first run with one worker: byte %d of %d is %#02x, was %#02x",
				what, o.name, at, o.size, got[o.name][at], first[o.name][at])
		}
	}
}

// differs is where two runs of bytes first differ, −1 for nowhere.
func differs(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}

// apart is the largest difference of numbers that are stored in a format from
// what was wanted, and where it is: beyond the rounding of storage, in units of
// an element's magnitude plus the root mean square of all.
func apart(f device.Format, got, want []float64) (worst float64, at int) {
	square := 0.0
	for _, w := range want {
		square += w * w
	}
	rms := math.Sqrt(square / float64(len(want)))
	for i, w := range want {
		off := max(0, math.Abs(got[i]-w)-halfUnit(f, max(math.Abs(got[i]), math.Abs(w))))
		if off != 0 { // 0/0 where all is zero, as it should be
			off /= math.Abs(w) + rms
		}
		if !(off <= worst) { // or not a number
			worst, at = off, i
		}
		if worst != worst {
			return math.Inf(1), i
		}
	}
	return worst, at
}

// halfUnit is half a unit in the last place of a format of 16 bits; that of F32
// is part of every tolerance.
func halfUnit(f device.Format, x float64) float64 {
	_, e := math.Frexp(x) // x < 2ᵉ
	switch f {
	case device.BF16: // 8 digits
		return math.Ldexp(1, max(e, -125)-9)
	case device.F16: // 11 digits
		return math.Ldexp(1, max(e, -13)-12)
	}
	return 0
}
