package device_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"testing"

	"pgregory.net/rapid"

	"github.com/glmflow/glmflow/gpu/device"
)

// TestDynamicCodeIsTheOriginal compares with bitsandbytes (testdata/dynamic.py).
// Its values were computed in float32, hence the tolerance.
func TestDynamicCodeIsTheOriginal(t *testing.T) {
	raw, err := os.ReadFile("testdata/dynamic.f32")
	if err != nil {
		t.Fatal(err)
	}
	var want [2][256]float32
	if err := binary.Read(bytes.NewReader(raw), binary.LittleEndian, &want); err != nil {
		t.Fatal(err)
	}
	for i, signed := range []bool{true, false} {
		for code, v := range device.DynamicCode(signed).Value {
			if w := want[i][code]; math.Abs(float64(v-w)) > 3e-7*math.Abs(float64(w)) {
				t.Errorf("signed %t: code %d is %g, bitsandbytes has %g", signed, code, v, w)
			}
		}
	}
}

func TestDynamicCodeRoundsToTheNearest(t *testing.T) {
	for _, signed := range []bool{true, false} {
		d := device.DynamicCode(signed)
		for i, v := range d.Value {
			if got := d.Code(v); int(got) != i {
				t.Errorf("signed %t: the value of code %d is rounded to code %d", signed, i, got)
			}
		}
		rapid.Check(t, func(t *rapid.T) {
			x := rapid.Float32Range(-1.5, 1.5).Draw(t, "x")
			got := math.Abs(float64(x) - float64(d.Value[d.Code(x)]))
			for i, v := range d.Value {
				if other := math.Abs(float64(x) - float64(v)); other < got-1e-7 {
					t.Fatalf("signed %t: %g became code %d, code %d is nearer", signed, x, d.Code(x), i)
				}
			}
		})
	}
}

// TestCodesOfNeighbours: floats that share their upper 16 bits are at most one
// code apart. The C kernels look the lower one up and compare once.
func TestCodesOfNeighbours(t *testing.T) {
	for _, signed := range []bool{true, false} {
		d := device.DynamicCode(signed)
		for top := range uint32(1 << 16) {
			a, b := math.Float32frombits(top<<16), math.Float32frombits(top<<16|0xffff)
			if !(math.Abs(float64(a)) <= 1) {
				continue
			}
			if distance := int(d.Code(a)) - int(d.Code(b)); distance < -1 || distance > 1 {
				t.Errorf("signed %t: from %g to %g there are %d codes", signed, a, b, distance)
			}
		}
	}
}
