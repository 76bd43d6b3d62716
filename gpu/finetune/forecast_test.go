package finetune

import (
	"testing"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device/dry"
)

// TestAForecastIsWhatARunTakes: a run allocates the bytes that were foreseen for
// it, but for the few of a prepared batch, which are each device's own.
func TestAForecastIsWhatARunTakes(t *testing.T) {
	for name, vary := range map[string]func(*Options){
		"lora":    func(*Options) {},
		"full":    func(o *Options) { o.Method, o.EMA = Full, 0.9 },
		"narrow":  func(o *Options) { o.Method, o.OptimizerBits = Full, 8 },
		"ptuning": func(o *Options) { o.Method, o.Prefix.Tokens, o.Prefix.Projection = PTuning, 2, true },
		"kl":      func(o *Options) { o.KL = 0.5 },
		"freeze":  func(o *Options) { o.Method, o.Part.Last = Freeze, 1 },
	} {
		t.Run(name, func(t *testing.T) {
			o := toyOptions()
			vary(&o)
			o.MaxSteps, o.BatchTokens = 1, 40
			dev := &meter{Device: open(t, 1)}
			m, err := chatglm.New(toyConfig(), dev, 1)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			train, val := counting(6, 0, 1), counting(2, 3, 1)
			d, err := newData(train, val, o, m.Config().PaddedVocabSize)
			if err != nil {
				t.Fatal(err)
			}
			largest := d.largest(o.BatchTokens)
			job := Job{Sketch: m.Sketch, Options: o, Tokens: largest.tokens, Conversations: largest.conversations, Validated: true}
			f, err := job.Forecast(dry.Like(dev), 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Run(t.Context(), m, train, val, o, Hooks{}); err != nil {
				t.Fatal(err)
			}
			if batch := f.Device() - dev.most; batch < 0 || batch > 4096 {
				t.Errorf("%d bytes were foreseen, %d taken", f.Device(), dev.most)
			}
			if f.Step["Linear"].Calls == 0 || f.Step.Flops() == 0 {
				t.Errorf("a step is foreseen to be %v", f.Step)
			}
		})
	}
}
