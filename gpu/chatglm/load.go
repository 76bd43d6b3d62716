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

// load makes a model of the base's weights.
func (l *loader) load(c Config) (m *Model, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	params := newParams(c.specs())
	defer func() {
		if err != nil {
			freeParams(l.dev, params)
		}
	}()
	sources := make([]*source, len(params))
	for i, s := range c.specs() {
		if sources[i], err = l.source(s); err != nil {
			return nil, err
		}
		p, from := params[i], sources[i]
		p.W.Format = l.options.format(s, from.format)
		if p.W.Format == from.format && l.options.Weights != "" && len(s.shape) == 2 && l.dev.Info().InPlace {
			if err = l.use(p, from); err != nil {
				return nil, err
			}
		}
	}
	if err = place(l.dev, params); err != nil {
		return nil, err
	}
	for i, p := range params {
		if !p.W.Data.Empty() && p.block == nil {
			continue // in place
		}
		if err = l.convert(p, sources[i]); err != nil {
			return nil, err
		}
	}
	return newModel(c, l.dev, params), nil
}

// source finds out how a weight is stored.
func (l *loader) source(s spec) (*source, error) {
	f, ok := l.files.Stored(s.name)
	if !ok { // torch's: widened as a whole
		var whole []float32
		return &source{read: func(dst []byte, from int64) error {
			if whole == nil {
				whole = make([]float32, s.len())
				if err := l.files.Read(s.name, whole); err != nil {
					return err
				}
			}
			copy(dst, device.Raw(whole)[from:])
			if int(from)+len(dst) == 4*len(whole) {
				whole = nil
			}
			return nil
		}}, nil
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
func (l *loader) use(p *Param, from *source) error {
	if from.mapped == nil {
		return nil
	}
	raw, err := from.mapped()
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, aligned := device.AsFloats(raw); p.W.Format == device.F32 && !aligned {
		return nil
	}
	if from.scales != nil {
		if p.W.Scales, err = device.NewTensor(l.dev, device.F32, len(from.scales)); err != nil {
			return fmt.Errorf("scales of weight %s: %w", p.Name, err)
		}
		l.dev.Upload(p.W.Scales.Mem, device.Raw(from.scales))
	}
	p.W.Data = device.HostMem(raw)
	l.inPlace = true
	return l.dev.Sync()
}

// pieceBytes is about how much of a weight is converted at a time.
const pieceBytes = 16 << 20

// convert copies a weight to the device in the format it is to have.
func (l *loader) convert(p *Param, from *source) (err error) {
	o, i, to := 1, p.Shape[0], p.W.Format
	if len(p.Shape) == 2 {
		o, i = p.Shape[0], p.Shape[1]
	}
	n, k := to.Row(i), to.Scales(i)
	if p.W.Data.Empty() {
		if p.own, err = l.dev.Alloc(o * n); err != nil {
			return fmt.Errorf("weight %s %v: %w", p.Name, p.Shape, err)
		}
		p.W.Data = p.own
	}
	if k > 0 {
		if p.W.Scales, err = device.NewTensor(l.dev, device.F32, o*k); err != nil {
			return fmt.Errorf("scales of weight %s: %w", p.Name, err)
		}
	}
	stored := from.format.Row(i)
	step := min(o, max(1, pieceBytes/(4*i))) // rows
	raw, encoded, outScales := make([]byte, step*stored), make([]byte, step*n), make([]float32, step*k)
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
		l.dev.Upload(p.W.Data.Slice(at*n, (at+rows)*n), encoded[:rows*n])
		if k > 0 {
			l.dev.Upload(p.W.Scales.Slice(at*k, (at+rows)*k).Mem, device.Raw(outScales[:rows*k]))
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
