package demo

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/glmflow/glmflow/gpu"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/finetune"
)

// tiny is a recipe that takes no time.
func tiny(t *testing.T) (baseRecipe, device.Device) {
	t.Helper()
	dev, err := gpu.Open("auto", device.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	r := defaultRecipe(dev)
	r.Vocabulary, r.TextSamples, r.Talks, r.Steps, r.BatchTokens = 1400, 50, 60, 8, 256
	r.Layers, r.Hidden, r.FFN, r.Heads = 1, 64, 96, 2
	return r, dev
}

// nobody waits in these tests.
func nobody(t *testing.T) func() { return func() { t.Error("waited for another demo") } }

// files are the names and bytes of a model.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(content)
	}
	return all
}

// TestBaseGoesOn: an interrupted training goes on at the next step, ends with
// the bytes of one that was not, and is then found.
func TestBaseGoesOn(t *testing.T) {
	r, dev := tiny(t)
	ctx, interrupt := context.WithCancel(t.Context())
	cache := t.TempDir()
	_, _, err := r.cached(ctx, cache, dev, func(i finetune.StepInfo) {
		if i.Step == 5 {
			interrupt()
		}
	}, nobody(t))
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want that it was interrupted", err)
	}
	var steps []int
	dir, trained, err := r.cached(t.Context(), cache, dev, func(i finetune.StepInfo) { steps = append(steps, i.Step) }, nobody(t))
	if err != nil || !trained {
		t.Fatalf("trained %v, error %v", trained, err)
	}
	if diff := cmp.Diff([]int{6, 7, 8}, steps); diff != "" {
		t.Errorf("steps of the second call: %s", diff)
	}
	again, trained, err := r.cached(t.Context(), cache, dev, nil, nobody(t))
	if err != nil || trained || again != dir {
		t.Errorf("not found again: %s, trained %v, error %v", again, trained, err)
	}
	straight, _, err := r.cached(t.Context(), t.TempDir(), dev, func(finetune.StepInfo) {}, nobody(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := files(t, dir), files(t, straight); !cmp.Equal(got, want) || len(want) < 3 {
		t.Errorf("an interruption changed the model: %d and %d files", len(got), len(want))
	}
	if filepath.Base(dir) != filepath.Base(straight) {
		t.Errorf("one recipe has two names: %s and %s", dir, straight)
	}
	r.Seed++
	if name, err := r.name(t.Context(), dev); err != nil || name == filepath.Base(dir) {
		t.Errorf("another seed is called %s, too (%v)", name, err)
	}
}

// TestBaseIsTrainedOnce: of two demos that begin at once one trains and the
// other waits.
func TestBaseIsTrainedOnce(t *testing.T) {
	r, dev := tiny(t)
	cache, training, waiting := t.TempDir(), make(chan struct{}), make(chan struct{})
	both, first := errgroup.WithContext(t.Context())
	both.Go(func() error {
		_, trained, err := r.cached(t.Context(), cache, dev, func(i finetune.StepInfo) {
			if i.Step == 1 {
				close(training)
				<-waiting
			}
		}, nobody(t))
		if !trained {
			err = errors.Join(err, errors.New("the first did not train"))
		}
		return err
	})
	select {
	case <-training:
	case <-first.Done():
		t.Fatal(both.Wait())
	}
	other, err := gpu.Open("auto", device.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	_, trained, err := r.cached(t.Context(), cache, other, func(finetune.StepInfo) { t.Error("the second trains, too") }, func() { close(waiting) })
	if err := errors.Join(err, both.Wait()); err != nil || trained {
		t.Errorf("trained %v, error %v", trained, err)
	}
}
