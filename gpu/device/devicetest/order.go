package devicetest

import (
	"errors"
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
)

// order: what a download brings is what was there when it was asked for, and
// what an upload brings is there for the operators that follow, whenever the
// device gets round to any of them.
func order(t *testing.T, d device.Device) {
	const n = 1000
	first, second := noise("first", 4*n), encode(device.F32, draw(random("second"), device.F32, n, 1))
	a, b := alloc(t, d, 4*n), alloc(t, d, 4*n)
	var got [4][]byte
	for i := range got {
		got[i] = make([]byte, 4*n)
	}
	d.Upload(a, first)
	d.Download(got[0], a)
	d.Upload(a, second)
	d.Download(got[1], a)
	d.Copy(b.Tensor(device.F32, n), a.Tensor(device.F32, n))
	d.Zero(a)
	d.Download(got[2], b)
	d.Download(got[3], a)
	settle(t, d)
	for i, want := range [][]byte{first, second, second, make([]byte, 4*n)} {
		if at := differs(got[i], want); at >= 0 {
			t.Errorf("download %d has %#02x at %d, want %#02x: not what was there when it was asked for", i, got[i][at], at, want[at])
		}
	}
	// Memory that is freed is used by the operators before that, and by them alone.
	c, err := d.Alloc(4 * n)
	if err != nil {
		t.Fatal(err)
	}
	d.Upload(c, second)
	d.Copy(a.Tensor(device.F32, n), c.Tensor(device.F32, n))
	d.Free(c)
	e := alloc(t, d, 4*n)
	d.Zero(e)
	clear(got[0])
	d.Download(got[0], a)
	settle(t, d)
	if at := differs(got[0], second); at >= 0 {
		t.Errorf("byte %d of a copy of freed memory is %#02x, want %#02x", at, got[0][at], second[at])
	}
}

// passes: a pass can be prepared again for another batch, up to its limits, while
// operators of the last one wait; more than one can be there.
func passes(t *testing.T, d device.Device) {
	const h, v = 8, 11
	table := newWeight(random("passes"), device.F32, v, h)
	w := alloc(t, d, len(table.stored))
	d.Upload(w, table.stored)
	again, err := d.NewPass(device.Limits{M: 5, S: 2, N: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer d.FreePass(again)
	other, err := d.NewPass(device.Limits{M: 2, S: 1})
	if err != nil {
		t.Fatal(err)
	}
	batches := []device.Batch{
		{IDs: []int32{1, 2, 3, 4, 5}, CuSeqlens: []int32{0, 2, 5}}, {IDs: []int32{9, 10}}, {IDs: []int32{0}, Rows: []int32{0}}, {IDs: []int32{7, 7, 1}}, {},
	}
	var want, got [][]byte
	for i, b := range batches {
		p := again
		if i == 1 {
			p = other
		}
		d.Prepare(p, b)
		if p.M != len(b.IDs) || p.N != len(b.Rows) || p.Has.IDs != (len(b.IDs) > 0) {
			t.Errorf("batch %d: the pass says it has %d rows, %d to gather", i, p.M, p.N)
		}
		if len(b.IDs) == 0 {
			continue
		}
		y := alloc(t, d, 4*h*len(b.IDs))
		d.Embed(y.Tensor(device.F32, h*len(b.IDs)), device.Matrix{Data: w}, p, h)
		want, got = append(want, encode(device.F32, rowsOf(table.values, b.IDs, h))), append(got, make([]byte, y.N))
		d.Download(got[i], y)
	}
	d.FreePass(other)
	settle(t, d)
	for i := range want {
		if at := differs(got[i], want[i]); at >= 0 {
			t.Errorf("batch %d of a pass: byte %d is %#02x, want %#02x", i, at, got[i][at], want[i][at])
		}
	}
}

// threads: Do brings f's error, nests, and other goroutines may call in turn.
func threads(t *testing.T, d device.Device) {
	sentinel := errors.New("f's own")
	x := encode(device.F32, draw(random("threads"), device.F32, 100, 1))
	got := make([]byte, len(x))
	var m device.Mem
	err := d.Do(func() error {
		var err error
		if m, err = d.Alloc(len(x)); err != nil {
			return err
		}
		d.Upload(m, x)
		if err := d.Do(func() error { d.Download(got, m); return nil }); err != nil {
			return err
		}
		if err := d.Sync(); err != nil {
			return err
		}
		return d.Do(func() error { return sentinel })
	})
	if !errors.Is(err, sentinel) {
		t.Errorf("Do returned %v, want f's error", err)
	}
	if at := differs(got, x); at >= 0 {
		t.Errorf("byte %d is %#02x, want %#02x", at, got[at], x[at])
	}
	done := make(chan error)
	go func() { // elsewhere, one after the other
		d.Axpy(m.Tensor(device.F32, 100), 1, m.Tensor(device.F32, 100))
		d.Free(m)
		done <- d.Sync()
	}()
	if err := <-done; err != nil {
		t.Errorf("sync from another goroutine: %v", err)
	}
	if err := d.Do(func() error { return nil }); err != nil {
		t.Errorf("Do after that: %v", err)
	}
}
