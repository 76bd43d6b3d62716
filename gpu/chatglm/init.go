package chatglm

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
	"github.com/glmflow/glmflow/gpu/device"
)

// InitOptions say how [Init] writes a model.
type InitOptions struct {
	Format     string                  // of the weights: fp32, bf16, fp16, int8 or int4; "" is fp32
	Seed       uint64                  // the same seed gives the same bytes, on every machine
	OnProgress func(done, total int64) // bytes; nil hears nothing
}

// InitFormats are the values of [InitOptions].Format.
func InitFormats() []string { return []string{"fp32", "bf16", "fp16", "int8", "int4"} }

// Init writes a model of shape c with random weights to dir without ever holding
// more than a piece of a weight: a model needs no more memory to be made than to
// be copied. The deviations are those of [New], the numbers are not: here each
// is computed from its place alone, in whole numbers, on all cores. With int8
// and int4 all that is not quantised is fp16, as in the original's files.
func Init(ctx context.Context, dir string, c Config, o InitOptions) error {
	if err := c.Validate(); err != nil {
		return err
	}
	format, err := o.format()
	if err != nil {
		return err
	}
	plain := format
	if format.Quantised() {
		plain = device.F16
	}
	w := &initWriter{ctx: ctx, config: c, options: o}
	var out []safetensors.Output
	for _, s := range c.specs() {
		if s.isLinear() {
			out = append(out, w.outputs(s, format)...)
		} else {
			out = append(out, w.outputs(s, plain)...)
		}
	}
	inverse := c.inverse()
	inverse.DType, _ = storedAs(plain, nil)
	further := formatKeys(plain)
	if format.Quantised() {
		further["quantization_bit"] = formatKeys(format)["quantization_bit"]
	}
	return c.save(dir, append(out, inverse), further)
}

func (o InitOptions) format() (device.Format, error) {
	for f := device.F32; f <= device.Int4; f++ {
		if f.String() == o.Format || o.Format == "" {
			return f, nil
		}
	}
	return 0, fmt.Errorf("format %q: want %s", o.Format, strings.Join(InitFormats(), ", "))
}

// An initWriter makes weights while they are written.
type initWriter struct {
	ctx         context.Context
	config      Config
	options     InitOptions
	done, total int64
}

// outputs are the tensors of one weight in a format.
func (w *initWriter) outputs(s spec, f device.Format) []safetensors.Output {
	rows, n := 1, s.shape[0]
	if len(s.shape) == 2 {
		rows, n = s.shape[0], s.shape[1]
	}
	w.total += int64(rows * f.Row(n))
	scales := make([]float32, rows*f.Scales(n))
	dtype, shape := storedAs(f, s.shape)
	out := []safetensors.Output{{Name: s.name, Shape: shape, DType: dtype, Stream: func(to io.Writer) error {
		return w.stream(to, s, f, rows, n, scales)
	}}}
	if len(scales) > 0 {
		out = append(out, safetensors.Output{Name: s.scaleName(), Shape: []int{rows}, DType: safetensors.F16,
			Read: func(dst []float32) error { copy(dst, scales); return nil }})
	}
	return out
}

// stream makes and writes a weight piece by piece.
func (w *initWriter) stream(to io.Writer, s spec, f device.Format, rows, n int, scales []float32) error {
	row, k := f.Row(n), f.Scales(n)
	step := min(rows, max(1, pieceBytes/(4*n)))
	encoded := make([]byte, step*row)
	values := w.values(s)
	for at := 0; at < rows; at += step {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		some := min(step, rows-at)
		inParallel(some, func(r int, buffer []float32) []float32 {
			buffer = slices.Grow(buffer[:0], n)[:n]
			values(buffer, uint64(at+r)*uint64(n))
			f.Encode(encoded[r*row:(r+1)*row], rowOf(scales, at+r, k), buffer)
			return buffer
		})
		if _, err := to.Write(encoded[:some*row]); err != nil {
			return err
		}
		w.done += int64(some * row)
		if w.options.OnProgress != nil {
			w.options.OnProgress(w.done, w.total)
		}
	}
	return nil
}

// values fills dst with a weight's numbers from element `from` on.
func (w *initWriter) values(s spec) func(dst []float32, from uint64) {
	p := &Param{Name: s.name, Shape: s.shape}
	if len(s.shape) == 1 {
		return func(dst []float32, _ uint64) { initialVector(p, dst) }
	}
	// The sum of eight uniform numbers of 16 bits is as good as normal for this
	// (it ends at 4.9 deviations), and one rounding from exact everywhere.
	scale := float32(w.config.deviation(p) / math.Sqrt(8*(1<<32-1)/12.0))
	h := fnv.New64a()
	h.Write([]byte(s.name))
	seed := device.Stream(w.options.Seed, h.Sum64())
	return func(dst []float32, from uint64) {
		for i := range dst {
			at := 2 * (from + uint64(i))
			dst[i] = float32(sixteens(device.SplitMix64(seed, at))+sixteens(device.SplitMix64(seed, at+1))-4*(1<<16-1)) * scale
		}
	}
}

// sixteens is the sum of the four 16-bit parts of z.
func sixteens(z uint64) int32 {
	z = z&0x0000FFFF0000FFFF + z>>16&0x0000FFFF0000FFFF
	return int32(z&0xFFFFFFFF + z>>32)
}
