package chatglm

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"

	"github.com/glmflow/glmflow/gpu/checkpoint"
	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
	"github.com/glmflow/glmflow/gpu/device"
)

// A loader brings the weights of a directory onto a device, one after the other.
type loader struct {
	dev     device.Device
	files   *checkpoint.Dir
	options OpenOptions
	inPlace bool // a weight refers to a file's memory
}

// A source is a weight in a file: rows in a format that a device knows, too.
type source struct {
	format device.Format
	scales []float32
	read   func(dst []byte, from int64) error
	mapped func() ([]byte, error)
}

// load makes the Param of a weight of the base.
func (l *loader) load(s spec) (*Param, error) {
	from, err := l.source(s)
	if err != nil {
		return nil, err
	}
	p := &Param{Name: s.name, Shape: s.shape}
	to := l.options.format(s, from.format)
	if to == from.format && l.options.Weights != "" && len(s.shape) == 2 && l.dev.Info().InPlace {
		done, err := l.use(p, from)
		if done || err != nil {
			return p, err
		}
	}
	if err := l.convert(p, from, to); err != nil {
		p.free(l.dev)
		return nil, err
	}
	return p, nil
}

// source finds out how a weight is stored.
func (l *loader) source(s spec) (*source, error) {
	f, ok := l.files.Stored(s.name)
	if !ok { // torch's: widened as a whole
		whole := make([]float32, s.len())
		if err := l.files.Read(s.name, whole); err != nil {
			return nil, err
		}
		raw := device.Mem{Host: whole, N: len(whole)}.Bytes(4 * len(whole)).Host
		return &source{read: func(dst []byte, from int64) error { copy(dst, raw[from:]); return nil }}, nil
	}
	t, _ := f.Tensor(s.name)
	x := &source{
		read:   func(dst []byte, from int64) error { return f.ReadBytes(s.name, dst, from) },
		mapped: func() ([]byte, error) { return f.Map(s.name) },
	}
	switch t.DType {
	case safetensors.F32:
	case safetensors.BF16:
		x.format = device.BF16
	case safetensors.F16:
		x.format = device.F16
	case safetensors.I8, safetensors.U8:
		x.format = device.Int4
		if slices.Equal(t.Shape, s.shape) {
			x.format = device.Int8
		}
		x.scales = make([]float32, s.shape[0])
		if err := l.files.Read(s.scaleName(), x.scales); err != nil {
			return nil, err
		}
		if i := notFinite(x.scales); i >= 0 {
			return nil, fmt.Errorf("tensor %q: scale of row %d is %g", s.scaleName(), i, x.scales[i])
		}
	default:
		return nil, fmt.Errorf("tensor %q: dtype %s is no weight's", s.name, t.DType)
	}
	return x, nil
}

// use refers to the weight where it lies in its file, if that can be.
func (l *loader) use(p *Param, from *source) (done bool, err error) {
	if from.mapped == nil {
		return false, nil
	}
	raw, err := from.mapped()
	if errors.Is(err, errors.ErrUnsupported) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if from.format == device.F32 {
		floats, ok := device.AsFloats(raw)
		if !ok {
			return false, nil
		}
		p.W, p.inFile = device.Mem{Host: floats, N: len(floats)}, true
	} else {
		p.Narrow = device.Matrix{Format: from.format, Raw: device.HostBytes(raw)}
		if from.scales != nil {
			if p.Narrow.Scales, err = p.alloc(l.dev, len(from.scales)); err != nil {
				return false, err
			}
			l.dev.Upload(p.Narrow.Scales, from.scales)
		}
	}
	l.inPlace = true
	return true, l.dev.Sync()
}

// pieceBytes is about how much of a weight is converted at a time.
const pieceBytes = 16 << 20

// convert copies a weight to the device in the format it is to have.
func (l *loader) convert(p *Param, from *source, to device.Format) error {
	o, i := 1, p.Shape[0]
	if len(p.Shape) == 2 {
		o, i = p.Shape[0], p.Shape[1]
	}
	n, k := to.Row(i), to.Scales(i)
	if to == device.F32 {
		if err := p.allocFloats(l.dev); err != nil {
			return err
		}
	} else {
		data, err := p.alloc(l.dev, (o*n+3)/4)
		if err != nil {
			return err
		}
		p.Narrow = device.Matrix{Format: to, Raw: data.Bytes(o * n)}
		if k > 0 {
			if p.Narrow.Scales, err = p.alloc(l.dev, o*k); err != nil {
				return err
			}
		}
	}
	mem := p.W
	if to != device.F32 {
		mem = p.owned[0]
	}
	stored := from.format.Row(i)
	step := max(1, pieceBytes/(16*i)) * 4 // rows: so many begin at a whole float
	step = min(step, (o+3)/4*4)
	raw := make([]byte, step*stored)
	out := device.Mem{Host: make([]float32, (step*n+3)/4), N: (step*n + 3) / 4}
	encoded, outScales := out.Bytes(step*n).Host, make([]float32, step*k)
	for at := 0; at < o; at += step {
		rows := min(step, o-at)
		if err := from.read(raw[:rows*stored], int64(at*stored)); err != nil {
			return err
		}
		inParallel(rows, func(r int, row []float32) []float32 {
			if from.format == to {
				copy(encoded[r*n:(r+1)*n], raw[r*stored:])
				copy(outScales[r*k:(r+1)*k], rowOf(from.scales, at+r, k))
				return row
			}
			row = slices.Grow(row[:0], i)[:i]
			from.format.Decode(row, raw[r*stored:(r+1)*stored], rowOf(from.scales, at+r, from.format.Scales(i)))
			to.Encode(encoded[r*n:(r+1)*n], outScales[r*k:(r+1)*k], row)
			return row
		})
		if b := notFinite(outScales[:rows*k]); b >= 0 {
			return fmt.Errorf("tensor %q: row %d: its largest number is too large for %v, or not finite", p.Name, at+b/k, to)
		}
		first, floats := at*n/4, (rows*n+3)/4
		l.dev.Upload(mem.Slice(first, first+floats), out.Host[:floats])
		if k > 0 {
			l.dev.Upload(p.Narrow.Scales.Slice(at*k, (at+rows)*k), outScales[:rows*k])
		}
		if err := l.dev.Sync(); err != nil { // before the buffers are used again
			return fmt.Errorf("weight %s: %w", p.Name, err)
		}
	}
	return nil
}

// rowOf is row r of rows of k numbers.
func rowOf(x []float32, r, k int) []float32 { return x[r*k : (r+1)*k] }

// inParallel calls do for 0 ≤ r < n on all cores. do returns the buffer that its
// next call gets.
func inParallel(n int, do func(r int, buffer []float32) []float32) {
	workers := min(n, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			var buffer []float32
			for r := w; r < n; r += workers {
				buffer = do(r, buffer)
			}
		})
	}
	wg.Wait()
}

// notFinite is the index of the first number that is not, or −1.
func notFinite(x []float32) int {
	return slices.IndexFunc(x, func(v float32) bool { return !(math.Abs(float64(v)) <= math.MaxFloat32) })
}
