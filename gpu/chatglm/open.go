package chatglm

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/glmflow/glmflow/gpu/checkpoint"
	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
	"github.com/glmflow/glmflow/gpu/device"
)

// OpenOptions say how [OpenWith] keeps the weights.
type OpenOptions struct {
	// Weights is the format of the weight matrices in memory:
	//
	//	""      float32, in memory of the model's own; matrices that the directory
	//	        has in int8 or int4 stay that. The default.
	//	stored  as the files have them, in place: mapped into memory, not copied
	//	fp32, bf16, fp16, int8, int4, nf4
	//	        this one; in place where the files have it already, else converted
	//	        matrix by matrix. int8 and int4 are the original code's formats, nf4
	//	        that of QLoRA. They are for the linears of the layers: the embedding
	//	        and the output layer stay in the 16 bits of the files, or in bf16.
	//
	// Norms and biases are float32 always. Matrices that are not float32 are
	// frozen: adapters can be trained on top of them. In place means that files
	// must not be written to while the model is open; replacing them is fine.
	// What is trained gets memory of its own.
	Weights string
}

// WeightFormats are the values of [OpenOptions].Weights beside "".
func WeightFormats() []string {
	return []string{"stored", "fp32", "bf16", "fp16", "int8", "int4", "nf4"}
}

func (o OpenOptions) check() error {
	if o.Weights == "" || slices.Contains(WeightFormats(), o.Weights) {
		return nil
	}
	return fmt.Errorf("weights %q: want %s", o.Weights, strings.Join(WeightFormats(), ", "))
}

// format is how a weight of the base is kept that the files have in stored.
func (o OpenOptions) format(s spec, stored device.Format) device.Format {
	if len(s.shape) == 1 {
		return device.F32
	}
	switch o.Weights {
	case "":
		if stored.Quantised() {
			return stored
		}
		return device.F32
	case "stored":
		return stored
	}
	for f := device.F32; f <= device.NF4; f++ {
		if f.String() != o.Weights {
			continue
		}
		if f.Quantised() && !s.isLinear() {
			if stored == device.F32 {
				return device.BF16
			}
			return stored
		}
		return f
	}
	panic("chatglm: unchecked format " + o.Weights)
}

// isLinear reports whether the weight is one of a layer's four linears.
func (s spec) isLinear() bool {
	return len(s.shape) == 2 && s.name != embeddingName && s.name != outputName
}

// Open is [OpenWith] the default options.
func Open(dir string, dev device.Device) (*Model, error) { return OpenWith(dir, dev, OpenOptions{}) }

// OpenWith reads the model in dir, a Hugging Face directory with config.json and
// weights in one file or in shards, onto dev. What the files say is checked
// before anything is allocated: they have the tensors that config.json asks for
// and no others. Where it says pre_seq_len, as the original trainer writes it,
// the prefix is among them.
func OpenWith(dir string, dev device.Device, o OpenOptions) (*Model, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	c, err := ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	before, hasPrefix, err := ReadPrefixConfig(dir)
	if err != nil {
		return nil, err
	}
	files, err := checkpoint.OpenDir(dir)
	if err != nil {
		return nil, err
	}
	if err := c.matches(files, hasPrefix); err != nil {
		return nil, errors.Join(fmt.Errorf("open model %s: %w", dir, err), files.Close())
	}
	if hasPrefix {
		if err := before.fits(c, files); err != nil {
			return nil, errors.Join(fmt.Errorf("open model %s: %w", dir, err), files.Close())
		}
	}
	l := &loader{dev: dev, files: files, options: o}
	m, err := l.load(c)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open model %s: %w", dir, err), files.Close())
	}
	if hasPrefix {
		err = m.attachPrefix(before, 0, func(p *Param, dst []float32) error { return files.Read(p.Name, dst) })
	}
	if l.inPlace {
		m.files = files
	} else {
		err = errors.Join(err, files.Close())
	}
	if err != nil {
		m.Close()
		return nil, fmt.Errorf("open model %s: %w", dir, err)
	}
	return m, nil
}

// matches compares the tensors in files with those of the configuration. A
// prefix's are looked at elsewhere.
func (c Config) matches(files *checkpoint.Dir, hasPrefix bool) error {
	names := files.Names()
	if hasPrefix && !slices.Contains(names, embeddingName) {
		return errors.New("it holds a prefix and no model: name the model that the prefix was trained on, and this directory as its adapter")
	}
	known := map[string]bool{inverseName: true}
	for _, s := range c.specs() {
		known[s.name] = true
		shape, err := files.Shape(s.name)
		if err != nil {
			return err
		}
		if scales, err := files.Shape(s.scaleName()); err == nil && s.isLinear() {
			known[s.scaleName()] = true
			if !slices.Equal(scales, s.shape[:1]) {
				return fmt.Errorf("tensor %q has shape %v, want one scale for each of %d rows", s.scaleName(), scales, s.shape[0])
			}
			if err := s.quantised(files, shape); err != nil {
				return err
			}
			continue
		}
		if f, ok := files.Stored(s.name); ok {
			if t, _ := f.Tensor(s.name); t.DType == safetensors.I8 || t.DType == safetensors.U8 {
				return fmt.Errorf("tensor %q has dtype %s and no %q beside it, which would say what its numbers mean", s.name, t.DType, s.scaleName())
			}
		}
		if !slices.Equal(shape, s.shape) {
			return fmt.Errorf("tensor %q has shape %v, config.json asks for %v", s.name, shape, s.shape)
		}
	}
	for _, name := range names {
		if !known[name] && !(hasPrefix && strings.HasPrefix(name, prefixPart)) {
			return fmt.Errorf("tensor %q is not part of the network that config.json describes", name)
		}
	}
	return nil
}

// scaleName is where the original code keeps the scales of a quantised weight.
func (s spec) scaleName() string { return s.name + "_scale" }

// quantised checks a weight that has scales: int8 in its own shape, or int4 with
// two columns in a byte.
func (s spec) quantised(files *checkpoint.Dir, shape []int) error {
	f, ok := files.Stored(s.name)
	if !ok {
		return fmt.Errorf("tensor %q is quantised: that is read from safetensors only; convert the torch file first", s.name)
	}
	if t, _ := f.Tensor(s.name); t.DType != safetensors.I8 && t.DType != safetensors.U8 {
		return fmt.Errorf("tensor %q has scales and dtype %s: want I8", s.name, t.DType)
	}
	half := []int{s.shape[0], s.shape[1] / 2}
	if !slices.Equal(shape, s.shape) && !(s.shape[1]%2 == 0 && slices.Equal(shape, half)) {
		return fmt.Errorf("tensor %q has shape %v: want %v for int8 or %v for int4", s.name, shape, s.shape, half)
	}
	return nil
}

// StoredFormat is the format in which the model in dir has its layers' linears.
func StoredFormat(dir string) (string, error) {
	c, err := ReadConfig(dir)
	if err != nil {
		return "", err
	}
	files, err := checkpoint.OpenDir(dir)
	if err != nil {
		return "", err
	}
	defer files.Close()
	name := layerName(0, "self_attention.query_key_value.weight")
	f, ok := files.Stored(name)
	if !ok {
		return "torch", nil
	}
	t, ok := f.Tensor(name)
	switch {
	case !ok || len(t.Shape) != 2:
		return "", fmt.Errorf("%s: tensor %q: %w", dir, name, safetensors.ErrNoTensor)
	case t.DType == safetensors.F32:
		return device.F32.String(), nil
	case t.DType == safetensors.BF16:
		return device.BF16.String(), nil
	case t.DType == safetensors.F16:
		return device.F16.String(), nil
	case t.Shape[1] == c.HiddenSize:
		return device.Int8.String(), nil
	}
	return device.Int4.String(), nil
}
