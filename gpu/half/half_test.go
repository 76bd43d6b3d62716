package half

import (
	"math"
	"testing"
)

// TestAllNumbersOfEachFormat: widening is exact, so every number comes back,
// and what lies between two neighbours goes to the nearer, the middle to the
// even one.
func TestAllNumbersOfEachFormat(t *testing.T) {
	for _, f := range []struct {
		name   string
		widen  func(uint16) float32
		narrow func(float32) uint16
		inf    uint16
	}{{"f16", F16, ToF16, 0x7C00}, {"bf16", BF16, ToBF16, 0x7F80}} {
		for bits := range uint32(1 << 16) {
			h := uint16(bits)
			v := f.widen(h)
			if h&0x7FFF > f.inf {
				if v == v || f.widen(f.narrow(v)) == f.widen(f.narrow(v)) {
					t.Fatalf("%s %#04x is %g, want not a number there and back", f.name, h, v)
				}
				continue
			}
			if got := f.narrow(v); got != h {
				t.Fatalf("%s %#04x is %g, which comes back as %#04x", f.name, h, v, got)
			}
			if h&0x7FFF >= f.inf-1 { // the largest has no finite neighbour above
				continue
			}
			middle := float32((float64(v) + float64(f.widen(h+1))) / 2) // exact: one more bit
			even := h + h&1
			below, above := middle, middle
			if below = math.Nextafter32(middle, 0); f.narrow(below) != h {
				t.Fatalf("%s: %g, just short of the middle, gives %#04x, want %#04x", f.name, below, f.narrow(below), h)
			}
			if above = math.Nextafter32(middle, float32(math.Copysign(math.Inf(1), float64(v)))); f.narrow(above) != h+1 {
				t.Fatalf("%s: %g, just beyond the middle, gives %#04x, want %#04x", f.name, above, f.narrow(above), h+1)
			}
			if got := f.narrow(middle); got != even {
				t.Fatalf("%s: the middle %g gives %#04x, want %#04x", f.name, middle, got, even)
			}
		}
	}
	for x, want := range map[float32]uint16{65504: 0x7BFF, 65519.996: 0x7BFF, 65520: 0x7C00, -1e9: 0xFC00, 0x1p-24: 1, 1.0 / 3: 0x3555} {
		if got := ToF16(x); got != want {
			t.Errorf("f16 of %g is %#04x, want %#04x", x, got, want)
		}
	}
}
