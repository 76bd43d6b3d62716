//go:build cgo && unix

package cpu

// #include "kernels.h"
import "C"

import (
	"cmp"
	"slices"
	"unsafe"

	"github.com/glmflow/glmflow/gpu/device"
)

// A pass is what Prepare makes of a batch: copies of its arrays in the device's
// memory, and what operators would have to find out again for every layer.
type pass struct {
	c        C.pass
	mem      device.Mem
	arrays   [arrays][]int32 // in mem, as long as the limits say
	sampling []device.Sampling
}

// The arrays of a pass; weights are floats and spans three numbers each.
const (
	ids = iota
	positions
	cuSeqlens
	targets
	weights
	rows
	adapters
	past
	pages
	byID
	byRow
	scored
	spans
	arrays
)

// lengths are those of the arrays.
func lengths(l device.Limits) [arrays]int {
	return [arrays]int{
		ids: l.M, positions: l.M, cuSeqlens: l.S + 1, targets: l.M, weights: l.M, rows: l.N,
		adapters: l.S, past: l.S, pages: l.S * l.Pages,
		byID: l.M, byRow: l.N, scored: l.M, spans: 3 * mostSpans(l.M, l.S),
	}
}

// mostSpans is how many spans M rows in S sequences are cut into at most.
func mostSpans(m, s int) int { return (m+C.BLOCK-1)/C.BLOCK + s }

// prepared is the device's own part of a pass.
func prepared(p *device.Pass) *pass { return p.On.(*pass) }

// NewPass takes one piece of memory for all arrays.
func (d *Device) NewPass(l device.Limits) (*device.Pass, error) {
	bytes := 0
	for _, n := range lengths(l) {
		bytes += device.ArenaBytes(4 * n)
	}
	mem, err := d.Alloc(bytes)
	if err != nil {
		return nil, err
	}
	p := &pass{mem: mem}
	arena := device.NewArena(mem)
	for i, n := range lengths(l) {
		p.arrays[i] = arena.Ints(n).Host()
	}
	return &device.Pass{On: p}, nil
}

// FreePass gives the arrays back.
func (d *Device) FreePass(p *device.Pass) { d.Free(prepared(p).mem) }

// Prepare copies the batch, lists the rows that have a target and cuts the
// sequences into spans.
func (d *Device) Prepare(dp *device.Pass, b device.Batch) {
	p := prepared(dp)
	if len(b.CuSeqlens) == 0 {
		b.CuSeqlens = []int32{0, int32(dp.M)}
	}
	bits := unsafe.Slice((*int32)(unsafe.Pointer(unsafe.SliceData(b.Weights))), len(b.Weights))
	p.c = C.pass{
		m: C.long(dp.M), s: C.long(dp.S), n: C.long(dp.N), pages: C.long(dp.Pages),
		ids:        p.keep(ids, b.IDs),
		positions:  p.keep(positions, b.Positions),
		cu_seqlens: p.keep(cuSeqlens, b.CuSeqlens),
		targets:    p.keep(targets, b.Targets),
		weights:    (*C.float)(unsafe.Pointer(p.keep(weights, bits))),
		rows:       p.keep(rows, b.Rows),
		adapters:   p.keep(adapters, b.Adapters),
		past:       p.keep(past, b.Past),
		page:       p.keep(pages, b.Pages),
	}
	p.sampling = append(p.sampling[:0], b.Sampling...)
	p.score(b.Targets)
	p.cut(b.CuSeqlens)
}

// keep copies numbers into one of the arrays; there is no pointer to none.
func (p *pass) keep(array int, numbers []int32) *C.int32_t {
	if len(numbers) == 0 {
		return nil
	}
	copy(p.arrays[array], numbers)
	return p.pointer(array)
}

func (p *pass) pointer(array int) *C.int32_t {
	return (*C.int32_t)(unsafe.Pointer(unsafe.SliceData(p.arrays[array])))
}

func (p *pass) score(numbers []int32) {
	list := p.arrays[scored][:0]
	for m, target := range numbers {
		if target >= 0 {
			list = append(list, int32(m))
		}
	}
	p.c.scored, p.c.scored_rows = p.pointer(scored), C.long(len(list))
}

func (p *pass) cut(starts []int32) {
	list := p.arrays[spans][:0]
	for s := range len(starts) - 1 {
		p.c.longest = max(p.c.longest, C.long(starts[s+1]-starts[s]))
		for m := starts[s]; m < starts[s+1]; m += C.BLOCK {
			list = append(list, int32(s), m, min(C.BLOCK, starts[s+1]-m))
		}
	}
	p.c.spans, p.c.span_count = (*C.span)(unsafe.Pointer(p.pointer(spans))), C.long(len(list)/3)
}

// sortedIDs makes sure that by_id is there: only EmbedBackward wants it.
func (p *pass) sortedIDs() *C.pass {
	if p.c.by_id == nil {
		p.c.by_id = p.sorted(byID, p.arrays[ids][:p.c.m])
	}
	return &p.c
}

// sortedRows is the same of by_row, for GatherBackward.
func (p *pass) sortedRows() *C.pass {
	if p.c.by_row == nil {
		p.c.by_row = p.sorted(byRow, p.arrays[rows][:p.c.n])
	}
	return &p.c
}

// sorted lists the places of numbers by their value, equal ones in their order.
func (p *pass) sorted(array int, numbers []int32) *C.int32_t {
	order := p.arrays[array][:len(numbers)]
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Or(cmp.Compare(numbers[a], numbers[b]), cmp.Compare(a, b)) })
	return p.pointer(array)
}

// Advance takes the next id of every sequence. Where Sample found no token the
// answer goes on with token 0, which is as wrong as any, until the host has seen it.
func (d *Device) Advance(dp *device.Pass, next device.Ints) {
	p := prepared(dp)
	for s, id := range next.Host() {
		p.arrays[ids][s] = max(id, 0)
		p.arrays[positions][s]++
		p.arrays[past][s]++
	}
	p.c.by_id = nil
}
