package chatglm

import (
	"fmt"
	"slices"

	"github.com/glmflow/glmflow/gpu/device"
)

// place gives weights in F32 and BF16 that have no memory yet zeros, a block for
// each format, in the order that suits their training (see [Param].group). Where
// it fails nothing has memory.
func place(dev device.Device, params []*Param) error {
	var blocks []*block
	for _, f := range []device.Format{device.F32, device.BF16} {
		var of []*Param
		n := 0
		for _, p := range params {
			if p.W.Format == f && p.W.Data.Empty() {
				of, n = append(of, p), n+padded(p.Len())
			}
		}
		if n == 0 {
			continue
		}
		mem, err := dev.Alloc(n * f.Size())
		if err != nil {
			for _, b := range blocks {
				dev.Free(b.mem)
			}
			for _, p := range params {
				if slices.Contains(blocks, p.block) {
					p.block, p.W.Data = nil, device.Mem{}
				}
			}
			return fmt.Errorf("%d weights in %v: %w", n, f, err)
		}
		b := &block{f, mem}
		blocks = append(blocks, b)
		at := 0
		for _, p := range inGroups(of) {
			p.block, p.at = b, at
			p.W.Data = part(mem, f, at, p.Len()).Mem
			at += padded(p.Len())
		}
	}
	return nil
}

// freeParams gives the memory of weights back: of blocks, all of whose weights
// are among params, and of those that have memory of their own.
func freeParams(dev device.Device, params []*Param) {
	freed := map[*block]bool{}
	for _, p := range params {
		if b := p.block; b != nil && !freed[b] {
			freed[b] = true
			dev.Free(b.mem)
		}
		dev.Free(p.own)
		dev.Free(p.W.Scales.Mem)
		p.W, p.block, p.own = device.Matrix{}, nil, device.Mem{}
	}
}
