package finetune

import (
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/gpu"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/cpu"
)

var rewrite = flag.Bool("rewrite", false, "write golden files instead of comparing with them")

// TestFirstLosses: the first ten losses of fixed trainings are golden, every
// weight and with adapters that drop out, clipping and AdamW included. On the
// reference device they are exact. On the C device they may differ in float32 by
// what the order of sums makes of ten steps, in bfloat16 by the rounding of
// operands; there any number of workers gives the same bits.
func TestFirstLosses(t *testing.T) {
	path := filepath.Join("testdata", "first_losses.json")
	golden := map[string][]float64{}
	if *rewrite {
		for _, method := range []string{Full, LoRA} {
			golden[method] = firstLosses(t, "reference", device.Options{}, method)
		}
		text, err := json.MarshalIndent(golden, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(path, append(text, '\n'), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		backend, precision string
		tolerance          float64 // relative
	}{{"reference", "fp32", 0}, {"cpu", "fp32", 1e-5}, {"cpu", "bf16", 1e-2}} {
		for method, want := range golden {
			t.Run(c.backend+" "+c.precision+" "+method, func(t *testing.T) {
				one := firstLosses(t, c.backend, device.Options{Workers: 1, Precision: c.precision}, method)
				for i := range want {
					if !(math.Abs(one[i]-want[i]) <= c.tolerance*want[i]) {
						t.Errorf("loss %d is %v, golden %v", i+1, one[i], want[i])
					}
				}
				for _, workers := range []int{2, 3, 4} {
					more := firstLosses(t, c.backend, device.Options{Workers: workers, Precision: c.precision}, method)
					if d := cmp.Diff(one, more); d != "" {
						t.Errorf("(-1 worker +%d workers):\n%s", workers, d)
					}
				}
			})
		}
		if last := golden[Full][9]; last >= golden[Full][0] {
			t.Errorf("the golden losses fall from %g to %g: nothing is learned", golden[Full][0], last)
		}
	}
}

// firstLosses trains the toy task for ten steps.
func firstLosses(t *testing.T, backend string, device device.Options, method string) []float64 {
	t.Helper()
	dev, err := gpu.Open(backend, device)
	if errors.Is(err, cpu.ErrNotBuilt) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	m := toyModel(t, dev)
	defer m.Close()
	o := toyOptions()
	o.Method, o.MaxSteps = method, 10
	r, err := Run(t.Context(), m, counting(24, 0, 1), nil, o, Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	var losses []float64
	for _, p := range r.Curve {
		losses = append(losses, p.Loss)
	}
	if len(losses) != 10 {
		t.Fatalf("%d losses, want 10", len(losses))
	}
	return losses
}
