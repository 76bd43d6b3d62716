package chatglm

import (
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
)

// Sketch is a model of shape c as [OpenWith] would keep it, whose files have its
// weights in the format stored, without any values: for a device that computes
// nothing (gpu/device/dry) and says what a model would take. Adapters that are
// added to it have no values either.
func Sketch(c Config, dev device.Device, o OpenOptions, stored string) (*Model, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	format, err := parseFormat(stored)
	if err != nil {
		return nil, err
	}
	params := newParams(c.specs())
	for i, s := range c.specs() {
		had := format
		if format.Quantised() && !s.isLinear() {
			had = device.F16
		}
		params[i].W.Format = o.format(s, had)
	}
	return sketch(c, dev, params)
}

// SketchDir is a sketch of the model in dir, as [OpenWith] would keep it, with the
// adapter in another directory on top where one is named. Of the files only what
// describes them is read.
func SketchDir(dir, adapter string, dev device.Device, o OpenOptions) (*Model, error) {
	c, err := ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	stored, err := StoredFormat(dir)
	if err != nil {
		return nil, err
	}
	if stored == "torch" {
		stored = device.F32.String() // widened as it is read
	}
	m, err := Sketch(c, dev, o, stored)
	if err != nil {
		return nil, err
	}
	before, hasPrefix, err := ReadPrefixConfig(dir)
	if hasPrefix && err == nil {
		err = m.attachPrefix(before, 0, nil)
	}
	if adapter != "" && err == nil {
		err = m.LoadAdapter(adapter)
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// Sketch is one of the model as it is kept, with its adapters.
func (m *Model) Sketch(dev device.Device) (*Model, error) {
	base := newParams(m.cfg.specs())
	for i, p := range base {
		p.W.Format = m.params[i].W.Format
	}
	other, err := sketch(m.cfg, dev, base)
	if err != nil {
		return nil, err
	}
	if m.lora != nil {
		err = other.attach(m.lora.LoRAConfig, 0, nil)
	}
	if m.prefix != nil && err == nil {
		err = other.attachPrefix(m.prefix.PrefixConfig, 0, nil)
	}
	if err != nil {
		other.Close()
		return nil, err
	}
	return other, nil
}

// sketch gives weights memory and no values.
func sketch(c Config, dev device.Device, params []*Param) (*Model, error) {
	if err := place(dev, params); err != nil {
		return nil, err
	}
	m := newModel(c, dev, params)
	m.sketch = true
	for _, p := range params {
		if p.block != nil {
			continue
		}
		var err error
		rows, n := p.Shape[0], p.Shape[1]
		if p.own, err = dev.Alloc(rows * p.W.Format.Row(n)); err == nil {
			p.W.Data = p.own
			p.W.Scales, err = device.NewTensor(dev, device.F32, rows*p.W.Format.Scales(n))
		}
		if err != nil {
			m.Close()
			return nil, fmt.Errorf("weight %s %v: %w", p.Name, p.Shape, err)
		}
	}
	return m, nil
}

// parseFormat is the format of a name.
func parseFormat(name string) (device.Format, error) {
	for f := device.F32; f <= device.NF4; f++ {
		if f.String() == name {
			return f, nil
		}
	}
	return 0, fmt.Errorf("format %q of weights: want fp32, bf16, fp16, int8, int4 or nf4", name)
}
