package device

import "slices"

// NewPass keeps the limits with the pass.
func (c *checked) NewPass(l Limits) (*Pass, error) {
	operator("NewPass").require(l.M >= 0 && l.S >= 0 && l.N >= 0 && l.Pages >= 0, "limits %+v", l)
	p, err := c.Device.NewPass(l)
	if err != nil {
		return nil, err
	}
	p.Limits = l
	return p, nil
}

// Prepare checks all that operators would stumble over, and counts what they
// need to know of it.
func (c *checked) Prepare(p *Pass, b Batch) {
	o := operator("Prepare")
	o.pass(p)
	p.describe(o, b)
	o.require(p.M <= p.Limits.M && p.S <= p.Limits.S && p.N <= p.Limits.N && p.Pages <= p.Limits.Pages,
		"%d rows, %d sequences, %d gathered rows and %d pages are more than the limits %+v", p.M, p.S, p.N, p.Pages, p.Limits)
	c.Device.Prepare(p, b)
}

// Advance moves on what Prepare counted, too.
func (c *checked) Advance(p *Pass, ids Ints) {
	o := operator("Advance")
	o.pass(p)
	o.require(p.Has.Past && p.Has.IDs && p.Has.Positions && p.M == p.S, "a pass of %d rows and %d sequences, with a cache: %t", p.M, p.S, p.Has.Past)
	o.require(p.Length < p.Pages*PagePositions, "sequences of %d positions have %d pages of %d", p.Length, p.Pages, PagePositions)
	o.ints("ids", ids, p.S)
	p.Length++
	p.Position++
	c.Device.Advance(p, ids)
}

// describe fills in what Prepare promises of p, or panics.
func (p *Pass) describe(o operator, b Batch) {
	m := 0
	for _, n := range []int{len(b.IDs), len(b.Positions), len(b.Targets), len(b.Weights)} {
		m = max(m, n)
	}
	if len(b.CuSeqlens) > 0 {
		m = max(m, int(b.CuSeqlens[len(b.CuSeqlens)-1]))
	}
	whole := func(name string, n int) {
		o.require(n == 0 || n == m, "%s are %d, the batch has %d rows", name, n, m)
	}
	whole("ids", len(b.IDs))
	whole("positions", len(b.Positions))
	whole("targets", len(b.Targets))
	whole("weights", len(b.Weights))
	for i, w := range b.Weights {
		o.require(w-w == 0, "weight %d is %g", i, w)
	}
	starts := b.CuSeqlens
	if len(starts) == 0 {
		starts = []int32{0, int32(m)}
	}
	o.require(starts[0] == 0 && int(starts[len(starts)-1]) == m, "cu_seqlens go from %d to %d, the batch has %d rows", starts[0], starts[len(starts)-1], m)
	s := len(starts) - 1
	*p = Pass{Limits: p.Limits, On: p.On, M: m, S: s, N: len(b.Rows), Highest: -1, Target: -1, Position: -1, Adapter: -1, Page: -1, Has: Has{
		IDs: len(b.IDs) > 0, Positions: len(b.Positions) > 0, Targets: len(b.Targets) > 0, Rows: len(b.Rows) > 0,
		Adapters: len(b.Adapters) > 0, Past: len(b.Past) > 0, Sampling: len(b.Sampling) > 0,
	}}
	if len(b.IDs) > 0 {
		p.Lowest, p.Highest = int(slices.Min(b.IDs)), int(slices.Max(b.IDs))
	}
	if len(b.Targets) > 0 {
		p.Target = int(slices.Max(b.Targets))
	}
	if len(b.Positions) > 0 {
		o.require(slices.Min(b.Positions) >= 0, "position %d", slices.Min(b.Positions))
		p.Position = int(slices.Max(b.Positions))
	}
	for i, r := range b.Rows {
		o.require(r >= 0 && int(r) < m, "gathered row %d is %d, the batch has %d rows", i, r, m)
	}
	each := func(name string, n int) {
		o.require(n == 0 || n == s, "%s are %d, the batch has %d sequences", name, n, s)
	}
	each("adapters", len(b.Adapters))
	each("pasts", len(b.Past))
	each("samplings", len(b.Sampling))
	if len(b.Adapters) > 0 {
		o.require(slices.Min(b.Adapters) >= -1, "adapter %d", slices.Min(b.Adapters))
		p.Adapter = int(slices.Max(b.Adapters))
	}
	for i, x := range b.Sampling {
		o.require(x.Penalty > 0 && x.Temperature >= 0 && x.TopK >= 0 && x.TopP > 0 && x.TopP <= 1, "sequence %d samples by %+v", i, x)
		p.Penalised = p.Penalised || x.Penalty != 1
	}
	if len(b.Past) > 0 {
		o.require(s > 0 && len(b.Pages)%s == 0, "%d pages for %d sequences", len(b.Pages), s)
		p.Pages = len(b.Pages) / s
		for i, page := range b.Pages {
			o.require(page >= 0, "page %d is %d", i, page)
			p.Page = max(p.Page, int(page))
		}
	}
	for i := range s {
		o.require(starts[i] <= starts[i+1], "cu_seqlens fall from %d to %d", starts[i], starts[i+1])
		n := int(starts[i+1] - starts[i])
		if len(b.Past) > 0 {
			o.require(b.Past[i] >= 0, "sequence %d has %d positions in the cache", i, b.Past[i])
			n += int(b.Past[i])
			o.require(n <= p.Pages*PagePositions, "sequence %d has %d positions, and pages for %d", i, n, p.Pages*PagePositions)
		}
		p.Length = max(p.Length, n)
	}
}
