//go:build cgo && unix

package cpu

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
)

// A feeding is how sequences come into a cache: for each pass, how many rows of
// each, of some none.
type feeding struct {
	name    string
	workers int
	rows    func(left []int) []int
}

// TestCachedBits feeds the same sequences in different ways: a row's output
// depends on its own sequence alone, and not on how that came.
func TestCachedBits(t *testing.T) {
	lengths := []int{700, 5, 130}
	s := device.Heads{A: 6, G: 2, D: 20}
	whole := func(left []int) []int { return left }
	ways := []feeding{
		{"whole, more workers than blocks", 7, whole},
		{"in chunks", 3, func(left []int) []int {
			return []int{min(left[0], 100), min(left[1], 2), min(left[2], 33)}
		}},
		{"one after the other", 2, func(left []int) []int {
			rows := make([]int, len(left))
			for i, n := range left {
				if n > 0 {
					rows[i] = n
					break
				}
			}
			return rows
		}},
		{"the last rows one by one", 7, func(left []int) []int {
			rows := make([]int, len(left))
			for i, n := range left {
				rows[i] = max(n-3, min(n, 1))
			}
			return rows
		}},
	}
	for _, isa := range tables {
		for _, precision := range []string{"fp32", "bf16"} {
			for _, f := range []device.Format{device.F32, device.BF16} {
				t.Run(fmt.Sprintf("%s-%s/%v", isa, precision, f), func(t *testing.T) {
					o := device.Options{Precision: precision, Workers: 1}
					want := fed(t, isa, o, f, s, lengths, whole)
					for _, w := range ways {
						o.Workers = w.workers
						if got := fed(t, isa, o, f, s, lengths, w.rows); !bytes.Equal(got, want) {
							t.Errorf("%s: other bits", w.name)
						}
					}
				})
			}
		}
	}
}

// fed is the outputs of all rows, sequence by sequence.
func fed(t *testing.T, isa string, o device.Options, f device.Format, s device.Heads, lengths []int, rows func([]int) []int) []byte {
	t.Helper()
	o.ISA = isa
	d, err := open(o)
	if err != nil {
		t.Skipf("this processor lacks the kernels: %v", err)
	}
	t.Cleanup(func() { d.Close() })
	random := func(f device.Format, n int, seed uint64) device.Tensor {
		x, y := filled(t, d, n), device.Tensor{}
		for i := range x.Floats() {
			x.Floats()[i] = 4*device.Uniform(seed, uint64(i)) - 2
		}
		if y, err = device.NewTensor(d, f, n); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Free(y.Mem) })
		d.Copy(y, x)
		return y
	}
	line, size := s.G*s.D, f.Size()
	each := (slices.Max(lengths) + device.PagePositions - 1) / device.PagePositions
	pages := len(lengths) * each
	cache := device.Cache{K: random(f, pages*device.PagePositions*line, 1), V: random(f, pages*device.PagePositions*line, 2)}
	const fixed = 70
	prefix := &device.Prefix{Table: random(device.F32, fixed*2*line, 3), N: fixed, Stride: 2 * line, V: line}

	out := make([][]byte, len(lengths))
	in := make([]device.Tensor, len(lengths))
	left := slices.Clone(lengths)
	for i, n := range lengths {
		in[i] = random(f, n*s.Width(), uint64(10+i))
	}
	for slices.Max(left) > 0 {
		b := device.Batch{CuSeqlens: []int32{0}}
		var qkv []byte
		for i, n := range rows(left) {
			past := lengths[i] - left[i]
			qkv = append(qkv, in[i].Mem.Host[past*s.Width()*size:(past+n)*s.Width()*size]...)
			b.CuSeqlens = append(b.CuSeqlens, b.CuSeqlens[len(b.CuSeqlens)-1]+int32(n))
			b.Past = append(b.Past, int32(past))
			for p := range each {
				b.Pages = append(b.Pages, int32(pages-1-i*each-p))
			}
			left[i] -= n
		}
		m := int(b.CuSeqlens[len(lengths)])
		x, y := random(f, m*s.Width(), 0), random(f, m*s.A*s.D, 0)
		d.Upload(x.Mem, qkv)
		device.Checked(d).AttentionCached(y, x, cache, passOf(t, d, b), s, prefix)
		for i := range lengths {
			row := s.A * s.D * size
			out[i] = append(out[i], y.Mem.Host[int(b.CuSeqlens[i])*row:int(b.CuSeqlens[i+1])*row]...)
		}
	}
	return bytes.Join(out, nil)
}
