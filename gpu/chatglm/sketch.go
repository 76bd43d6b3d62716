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
	m := newModel(c, dev, params)
	m.sketch = true
	for i, s := range c.specs() {
		p, had := params[i], format
		if format.Quantised() && !s.isLinear() {
			had = device.F16
		}
		p.W.Format = o.format(s, had)
	}
	if err := place(dev, params); err != nil {
		return nil, err
	}
	for _, p := range params {
		if p.block != nil {
			continue
		}
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
