package optim

import "github.com/glmflow/glmflow/gpu/device"

// A Tensor is a part of what a training remembers, as checkpoints keep it.
type Tensor struct {
	Name  string
	N     int                       // numbers
	Read  func(dst []float32) error // copies them to the host
	Write func(src []float32) error // takes them over
}

// numbers are floats on the device.
func numbers(dev device.Device, name string, mem device.Mem) Tensor {
	return Tensor{name, mem.N / 4, func(dst []float32) error {
		dev.Download(device.Raw(dst), mem)
		return dev.Sync()
	}, func(src []float32) error {
		dev.Upload(mem, device.Raw(src))
		return dev.Sync()
	}}
}

// codes are n codes of 8 bits, in a checkpoint four in the bits of a float. Behind
// them mem has room that is to hold the code of zero, for it shares a scale with
// them.
func codes(dev device.Device, name string, mem device.Mem, n int, zero uint8) Tensor {
	return Tensor{name, (n + 3) / 4, func(dst []float32) error {
		raw := device.Raw(dst)
		clear(raw[n:])
		dev.Download(raw[:n], mem.Slice(0, n))
		return dev.Sync()
	}, func(src []float32) error {
		all := make([]byte, mem.N)
		for i := copy(all, device.Raw(src)[:n]); i < len(all); i++ {
			all[i] = zero
		}
		dev.Upload(mem, all)
		return dev.Sync()
	}}
}

// weights are numbers in float32, or in bfloat16 with their lower halves, in a
// checkpoint whole.
func weights(dev device.Device, name string, w device.Weights) Tensor {
	return Tensor{name, w.W.Len(), func(dst []float32) error { return w.Read(dev, dst) },
		func(src []float32) error { return w.Write(dev, src) }}
}
