package finetune

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestPackKeepsOrderAndStartsNewBatches(t *testing.T) {
	lengths := []int{3, 4, 9, 1, 1, 5}
	got := pack([]int{0, 1, 2, 3, 4, 5}, lengths, 7)
	want := []microBatch{{0, 1}, {2}, {3, 4, 5}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("pack (-want +got):\n%s", d)
	}
}

// planCase draws lengths and options for a plan.
func planCase(t *rapid.T) ([]int, Options) {
	lengths := rapid.SliceOfN(rapid.IntRange(1, 40), 1, 60).Draw(t, "lengths")
	o := DefaultOptions()
	o.BatchTokens = rapid.IntRange(1, 64).Draw(t, "batch_tokens")
	o.Accumulate = rapid.IntRange(1, 4).Draw(t, "accumulate")
	o.Epochs = rapid.IntRange(1, 4).Draw(t, "epochs")
	o.Seed = rapid.Uint64().Draw(t, "seed")
	o.Shuffle = rapid.Bool().Draw(t, "shuffle")
	return lengths, o
}

func TestPlanSeesEveryConversationOnceAnEpoch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lengths, o := planCase(t)
		p := newPlan(lengths, o)
		seen := make([][]int, o.Epochs)
		for i := range p.total {
			s, epoch := p.at(i)
			if len(s) == 0 || len(s) > o.Accumulate {
				t.Fatalf("step %d has %d micro-batches, want 1 to %d", i, len(s), o.Accumulate)
			}
			for _, b := range s {
				tokens := 0
				for _, c := range b {
					tokens += lengths[c]
				}
				if tokens > o.BatchTokens && len(b) > 1 {
					t.Fatalf("step %d packs %d conversations of %d tokens into %d", i, len(b), tokens, o.BatchTokens)
				}
				seen[epoch] = append(seen[epoch], b...)
			}
		}
		for e, order := range seen {
			slices.Sort(order)
			for i, c := range order {
				if c != i {
					t.Fatalf("epoch %d misses or repeats conversation %d: %v", e, i, order)
				}
			}
			if len(order) != len(lengths) {
				t.Fatalf("epoch %d has %d conversations, want %d", e, len(order), len(lengths))
			}
		}
	})
}

func TestPlanIsRandomAccess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lengths, o := planCase(t)
		inOrder := newPlan(lengths, o)
		var all []step
		for i := range inOrder.total {
			s, _ := inOrder.at(i)
			all = append(all, s)
		}
		jump := newPlan(lengths, o)
		for range 5 {
			i := rapid.IntRange(0, len(all)-1).Draw(t, "step")
			got, _ := jump.at(i)
			if d := cmp.Diff(all[i], got); d != "" {
				t.Fatalf("step %d (-in order +jumped):\n%s", i, d)
			}
		}
	})
}

func TestMaxStepsOverridesEpochs(t *testing.T) {
	o := DefaultOptions()
	o.BatchTokens, o.Epochs, o.MaxSteps = 10, 1, 7
	p := newPlan([]int{10, 10}, o)
	if _, epoch := p.at(6); p.total != 7 || epoch != 3 {
		t.Errorf("7 steps of 2 an epoch: total %d, last epoch %d; want 7 and 3", p.total, epoch)
	}
}

func TestShuffle(t *testing.T) {
	order := func(seed uint64, epoch int) []int {
		o := make([]int, 50)
		for i := range o {
			o[i] = i
		}
		shuffle(o, seed, epoch)
		return o
	}
	if !slices.Equal(order(1, 0), order(1, 0)) {
		t.Error("the same seed and epoch gave two orders")
	}
	if slices.Equal(order(1, 0), order(1, 1)) || slices.Equal(order(1, 0), order(2, 0)) {
		t.Error("another epoch or seed gave the same order")
	}
	// Every position is about equally likely for every element.
	const n, rounds = 5, 20000
	var count [n][n]int
	for r := range rounds {
		o := []int{0, 1, 2, 3, 4}
		shuffle(o, 7, r)
		for at, v := range o {
			count[v][at]++
		}
	}
	for v := range count {
		for at, c := range count[v] {
			if c < rounds/n*9/10 || c > rounds/n*11/10 {
				t.Errorf("element %d came to position %d %d times of %d, want about %d", v, at, c, rounds, rounds/n)
			}
		}
	}
}

// TestNoMicroBatchIsLargerThanTheLargest: memory for the largest is enough for
// every order of the conversations, and all of it is needed for some.
func TestNoMicroBatchIsLargerThanTheLargest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes, o := planCase(t)
		examples := make([]Example, len(sizes))
		for i, n := range sizes {
			examples[i].IDs = make([]int32, n)
		}
		cut := rapid.IntRange(1, len(sizes)).Draw(t, "training conversations")
		d := data{train: examples[:cut], held: examples[cut:]}
		largest := d.largest(o.BatchTokens)
		plan := newPlan(lengths(d.train), o)
		steps := []step{pack(inOrder(len(d.held)), lengths(d.held), o.BatchTokens)}
		for i := range plan.total {
			s, _ := plan.at(i)
			steps = append(steps, s)
		}
		held := 1 // steps whose indices are of held
		for i, s := range steps {
			of := d.train
			if i < held {
				of = d.held
			}
			for _, b := range s {
				tokens := 0
				for _, e := range b {
					tokens += len(of[e].IDs)
				}
				if tokens > largest.tokens || len(b) > largest.conversations {
					t.Fatalf("%d conversations of %d tokens, the largest are %+v", len(b), tokens, largest)
				}
			}
		}
		if all := max(slices.Max(sizes), o.BatchTokens); largest.tokens > all || largest.conversations > len(sizes) {
			t.Fatalf("the largest are %+v, of %d conversations and %d tokens", largest, len(sizes), all)
		}
	})
}
