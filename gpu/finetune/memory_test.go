package finetune

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
)

// meter is a device that knows how many bytes were out at most.
type meter struct {
	device.Device
	now, most int64
}

func (m *meter) Alloc(n int) (device.Mem, error) {
	m.now += int64(n)
	m.most = max(m.most, m.now)
	return m.Device.Alloc(n)
}

func (m *meter) Free(mem device.Mem) {
	m.now -= int64(mem.N)
	m.Device.Free(mem)
}

// needs finds the smallest limit in bytes with which training begins, and what it
// ends with.
func needs(t *testing.T, run func(limit Bytes) (outcome, error)) (Bytes, outcome) {
	t.Helper()
	low, high := Bytes(1), Bytes(1<<24) // refused, taken
	for low+1 < high {
		if _, err := run((low + high) / 2); err != nil {
			if !strings.Contains(err.Error(), "memory is ") {
				t.Fatal(err)
			}
			low = (low + high) / 2
		} else {
			high = (low + high) / 2
		}
	}
	o, err := run(high)
	if err != nil {
		t.Fatal(err)
	}
	return high, o
}

// TestMemoryIsKeptAndChangesNothing: within any limit that is taken the device
// gives out no more, and the bits of the result are the same.
func TestMemoryIsKeptAndChangesNothing(t *testing.T) {
	for name, vary := range map[string]func(*Options){
		"lora":    func(*Options) {},
		"full":    func(o *Options) { o.Method, o.EMA = Full, 0.9 },
		"narrow":  func(o *Options) { o.Method, o.OptimizerBits = Full, 8 },
		"sgd":     func(o *Options) { o.Method, o.Optimizer, o.Momentum = Full, SGD, 0 },
		"ptuning": func(o *Options) { o.Method, o.Prefix.Tokens = PTuning, 2 },
		"freeze":  func(o *Options) { o.Method, o.Part.Last = Freeze, 1 },
	} {
		t.Run(name, func(t *testing.T) {
			config := toyConfig()
			config.NumLayers = 4
			if name == "narrow" { // parameters of 4096 values
				config.HiddenSize, config.FFNHiddenSize = 32, 64
			}
			run := func(limit Bytes) (outcome, error) {
				dev := &meter{Device: open(t, 1)}
				m, err := chatglm.New(config, dev, 1)
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				o := toyOptions()
				vary(&o)
				o.MaxSteps, o.BatchTokens, o.Memory = 1, 40, limit
				r, err := Run(t.Context(), m, counting(6, 0, 1), counting(2, 3, 1), o, Hooks{})
				if err == nil && limit > 0 && dev.most > int64(limit) {
					t.Errorf("%d bytes were allowed, %d taken", limit, dev.most)
				}
				return outcome{r, trained(m)}, err
			}
			want, err := run(0)
			if err != nil {
				t.Fatal(err)
			}
			least, tight := needs(t, run)
			twice := map[int]bool{}
			for limit := least; !twice[0]; limit += least / 30 {
				got, err := run(limit)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(want, got, cmpopts.IgnoreFields(Result{}, "Recomputed")); d != "" {
					t.Errorf("with %d bytes (-no limit +limited):\n%s", limit, d)
				}
				twice[got.Result.Recomputed] = true
			}
			if name == "freeze" { // nothing below the last layer is kept anyway
				return
			}
			if tight.Result.Recomputed != config.NumLayers || len(twice) < 3 {
				t.Errorf("%d layers computed twice in the least memory, and in more %v", tight.Result.Recomputed, twice)
			}
		})
	}
}

// TestTheAdviceHelps does what the error of a limit that is too small says, and
// then training begins.
func TestTheAdviceHelps(t *testing.T) {
	run := func(o Options) error {
		config := toyConfig()
		config.HiddenSize, config.FFNHiddenSize = 32, 80
		m, err := chatglm.New(config, open(t, 1), 1)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		o.MaxSteps = 1
		_, err = Run(t.Context(), m, lengthy(12, 20, 60), nil, o, Hooks{})
		return err
	}
	seen := map[string]bool{}
	for _, tokens := range []int{300, 60} { // more than the longest conversation, and no more
		o := toyOptions()
		o.Method, o.BatchTokens = Full, tokens
		least, _ := needs(t, func(limit Bytes) (outcome, error) { o.Memory = limit; return outcome{}, run(o) })
		for share := 0.98; share > 0.2; share -= 0.12 {
			o := o
			o.Memory = Bytes(share * float64(least))
			err := run(o)
			if err == nil {
				t.Fatalf("%d bytes were enough, but %d the least", o.Memory, least)
			}
			for what, follow := range map[string]func(value string){
				"set batch_tokens to ":                func(n string) { o.BatchTokens = number(t, n) },
				"set optimizer_bits to ":              func(n string) { o.OptimizerBits = number(t, n) },
				"set max_length and batch_tokens to ": func(n string) { o.MaxLength, o.BatchTokens = number(t, n), number(t, n) },
				"set memory to ":                      func(n string) { o.Memory.Set(n) },
				" or more, and batch_tokens to ":      func(n string) { o.BatchTokens = number(t, n) },
			} {
				if value := regexp.MustCompile(regexp.QuoteMeta(what) + `(\w+)`).FindStringSubmatch(err.Error()); value != nil {
					follow(value[1])
					seen[what] = true
				}
			}
			if again := run(o); again != nil {
				t.Errorf("%v\nfollowed: %v", err, again)
			}
		}
	}
	if len(seen) != 5 {
		t.Errorf("only this advice was given: %v", seen)
	}
}

func number(t *testing.T, text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// lengthy is conversations of between low and high tokens.
func lengthy(n, low, high int) []Example {
	all := make([]Example, n)
	for i := range all {
		e := Example{ID: strconv.Itoa(i)}
		for j := range low + i*(high-low)/(n-1) {
			e.IDs, e.Labels = append(e.IDs, int32(j%12)), append(e.Labels, int32(j%12))
		}
		all[i] = e
	}
	return all
}
