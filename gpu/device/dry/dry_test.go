package dry

import (
	"testing"
	"time"

	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/reference"
)

// TestMemoryIsCounted: the peak is what was out at most, workspace included, and
// a machine gives out no more than it has.
func TestMemoryIsCounted(t *testing.T) {
	d := New(Machine{Memory: 1000, Workspace: func(b device.Bounds) int64 { return int64(b.M) }})
	a, err := d.Alloc(300)
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.Alloc(400)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Alloc(301); err == nil {
		t.Error("301 bytes of 300 were given out")
	}
	d.Free(a)
	if err := d.Reserve(device.Bounds{Limits: device.Limits{M: 50}}); err != nil {
		t.Fatal(err)
	}
	if d.Used() != 450 || d.Peak() != 700 || d.Reserved() != 50 || d.Available() != 550 {
		t.Errorf("%d used, %d at most, %d reserved, %d available; want 450, 700, 50, 550", d.Used(), d.Peak(), d.Reserved(), d.Available())
	}
	d.Free(b)
	defer func() {
		if recover() == nil {
			t.Error("what was freed could be freed again")
		}
	}()
	d.Free(b)
}

// TestWorkTakesTheLongerOfComputingAndMoving, operator by operator.
func TestWorkTakesTheLongerOfComputingAndMoving(t *testing.T) {
	w := Work{}
	w.add("Linear", 2e9, 10)   // 2 s of products
	w.add("RMSNorm", 0, 3e8)   // 3 s of moving
	w.add("Attention", 1e9, 5) // 1 s
	r := Rates{Flops: 1e9, Bytes: 1e8}
	if got := w.On(r); got != 6*time.Second {
		t.Errorf("it takes %v, want 6s", got)
	}
	if got := w.Longest(r); got[0] != "RMSNorm" || got[1] != "Linear" || got[2] != "Attention" {
		t.Errorf("the longest are %v", got)
	}
	if w.Flops() != 3e9 {
		t.Errorf("%g operations", w.Flops())
	}
}

// TestProbe measures by the clock that it is given.
func TestProbe(t *testing.T) {
	dev, err := reference.Open(device.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	now := time.Unix(0, 0)
	r, err := Probe(dev, func() time.Time { now = now.Add(time.Second); return now })
	if err != nil {
		t.Fatal(err)
	}
	// Each of the two is run once, from one second to the next but one.
	if r.Flops <= 0 || r.Bytes <= 0 || r.Bytes > 64<<20 {
		t.Errorf("rates %+v", r)
	}
}

func TestCards(t *testing.T) {
	for _, c := range Cards() {
		if got, err := CardNamed(c.Name); err != nil || got != c {
			t.Errorf("%s: %v, %v", c.Name, got, err)
		}
	}
	if _, err := CardNamed("voodoo"); err == nil {
		t.Error("there is no such card")
	}
}
