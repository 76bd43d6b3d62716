package bench

import (
	"context"
	"testing"
	"time"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/device/reference"
	"github.com/glmflow/glmflow/gpu/finetune"
)

// clock is a clock that every look moves a second on.
func clock() func() time.Time {
	now := time.Unix(0, 0)
	return func() time.Time {
		now = now.Add(time.Second)
		return now
	}
}

func open(t *testing.T) device.Device {
	t.Helper()
	dev, err := reference.Open(device.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

// TestRates measures with a clock of which every result is known.
func TestRates(t *testing.T) {
	shape, _ := chatglm.Shape("tiny")
	trained, err := Train(context.Background(), open(t), TrainOptions{Shape: shape, Method: finetune.Full, Batch: 2, Length: 8, Steps: 3, Now: clock()})
	if err != nil {
		t.Fatal(err)
	}
	// Of the weights, 36,128, each linear's and the output layer's are products.
	const products = 36128 - 10240 - 2*(64+64) - 32
	flops := 16 * (6*products + 12*2*32*8) / 1e9
	if len(trained.Seconds) != 3 || trained.Median != 1 || trained.TokensPerS != 16 || trained.GFLOPs != flops {
		t.Errorf("three steps of a second: %+v, want 16 tokens/s and %g GFLOP/s", trained, flops)
	}

	model, err := chatglm.New(shape, open(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	answered, err := Generate(context.Background(), model, GenerateOptions{Prompt: 6, New: 5, Batch: 2, Runs: 1, Now: clock()})
	if err != nil {
		t.Fatal(err)
	}
	// Ten tokens are heard of, a second each; the first two end the prompts.
	if answered.PromptSeconds != 2 || answered.PromptPerS != 6 || answered.TokenSeconds != 2 || answered.TokensPerS != 1 {
		t.Errorf("%+v, want 2 s for both prompts and 2 s for a token of each", answered)
	}
	if answered.WeightBytes != 4*products {
		t.Errorf("%d bytes of weights are read, want %d", answered.WeightBytes, 4*products)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		x    []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{4, 1}, 2.5}, {[]float64{9, 1, 2}, 2}} {
		if got := median(c.x); got != c.want {
			t.Errorf("median of %v is %g, want %g", c.x, got, c.want)
		}
	}
}
