package device

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/glmflow/glmflow/gpu/half"
)

// TestOriginalQuantisation compares with PyTorch, byte by byte: how
// testdata/formats.json was made stands beside it.
func TestOriginalQuantisation(t *testing.T) {
	var golden struct {
		Rows           [][]uint16
		Scale8, Scale4 []float32
		Int8, Int4     [][]int
		NF4            []float64
	}
	text, err := os.ReadFile("testdata/formats.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Rows) == 0 || len(golden.NF4) != 16 {
		t.Fatal("the golden file is empty")
	}
	for r, bits := range golden.Rows {
		row := make([]float32, len(bits))
		for i, b := range bits {
			row[i] = half.F16(b)
		}
		for _, c := range []struct {
			format Format
			scale  float32
			bytes  []int
		}{{Int8, golden.Scale8[r], golden.Int8[r]}, {Int4, golden.Scale4[r], golden.Int4[r]}} {
			got, scale := make([]byte, c.format.Row(len(row))), make([]float32, 1)
			c.format.Encode(got, scale, row)
			if scale[0] != c.scale {
				t.Errorf("row %d: %v scale is %g, want %g", r, c.format, scale[0], c.scale)
			}
			for i, b := range got {
				if int(b) != c.bytes[i] {
					t.Errorf("row %d: %v byte %d is %#02x, want %#02x", r, c.format, i, b, c.bytes[i])
					break
				}
			}
		}
	}
	for i, v := range NF4Values() {
		if math.Abs(float64(v)-golden.NF4[i]) > 1e-6 {
			t.Errorf("NF4 value %d is %g, its quantile %g", i, v, golden.NF4[i])
		}
	}
}

// TestEncodeDecode: what a format can hold it gives back; what it cannot goes to
// the nearest that it can. Rows of odd length, and a last block that is short.
func TestEncodeDecode(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, f := range []Format{F32, BF16, F16, Int8, Int4, NF4} {
		for _, n := range []int{1, 2, 63, 64, 65, 131} {
			src, row, scales := make([]float32, n), make([]byte, f.Row(n)), make([]float32, f.Scales(n))
			for i := range src {
				src[i] = float32(r.NormFloat64())
			}
			f.Encode(row, scales, src)
			once := make([]float32, n)
			f.Decode(once, row, scales)
			again, againScales, twice := make([]byte, len(row)), make([]float32, len(scales)), make([]float32, n)
			f.Encode(again, againScales, once)
			f.Decode(twice, again, againScales)
			if f < Int8 && !slices.Equal(once, twice) {
				t.Errorf("%v, %d numbers: a second time gives others", f, n)
			}
			if f == NF4 && (!slices.Equal(row, again) || !slices.Equal(scales, againScales)) {
				t.Errorf("%v, %d numbers: a second time gives other codes", f, n)
			}
			for i, v := range src {
				// Half a step: of the exponent's, of the scale, or of NF4's widest gap.
				limit := map[Format]float64{F32: 0, BF16: 0x1p-8 * math.Abs(float64(v)), F16: 0x1p-11*math.Abs(float64(v)) + 0x1p-25}[f]
				switch f {
				case Int8, Int4:
					limit = 0.54 * float64(scales[0]) // w/s is rounded to a half first
				case NF4:
					limit = 0.1520 * float64(scales[i/64])
				}
				if diff := math.Abs(float64(v) - float64(once[i])); diff > limit {
					t.Errorf("%v, number %d of %d: %g became %g, further than %g", f, i, n, v, once[i], limit)
				}
			}
		}
	}
}

// BenchmarkEncode measures what quantising a model costs.
func BenchmarkEncode(b *testing.B) {
	src := make([]float32, 4096)
	for i := range src {
		src[i] = Uniform(1, uint64(i)) - 0.5
	}
	for _, f := range []Format{BF16, F16, Int8, Int4, NF4} {
		b.Run(f.String(), func(b *testing.B) {
			row, scales := make([]byte, f.Row(len(src))), make([]float32, f.Scales(len(src)))
			for b.Loop() {
				f.Encode(row, scales, src)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(src)), "ns/number")
		})
	}
}
