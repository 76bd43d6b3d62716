package optim

import "github.com/glmflow/glmflow/gpu/chatglm"

// A Group is weights that lie end to end in memory and are updated alike, by one
// call of the device.
type Group struct {
	chatglm.Run
	Setting
	Narrow bool // moments are of 8 bits
}

// A Setting is what may differ between the weights of a training.
type Setting struct {
	Rate  float32 // multiplies the learning rate
	Decay float32 // weight decay; decoupled but for SGD, which adds it to the gradient
}

// narrowFrom is the number of values from which on a weight's moments may be of 8
// bits, as in bitsandbytes: smaller ones are hardly memory, and norms and biases
// suffer most.
const narrowFrom = 4096

func isNarrow(n, bits int) bool { return bits == 8 && n >= narrowFrom }

// Groups are the trainable weights of m in as few groups as their settings and
// their places in memory allow. Moments are of 32 bits, or of 8 for weights of
// 4096 values or more.
func Groups(m *chatglm.Model, of func(*chatglm.Param) Setting, bits int) []Group {
	var all []Group
	for _, r := range m.Runs(func(a, b *chatglm.Param) bool {
		return of(a) == of(b) && isNarrow(a.Len(), bits) == isNarrow(b.Len(), bits)
	}) {
		first := r.Params[0]
		all = append(all, Group{r, of(first), isNarrow(first.Len(), bits)})
	}
	return all
}

// Len is the number of weights, with the room between them.
func (g Group) Len() int { return g.Weights.W.Len() }

func (g Group) name() string {
	first, last := g.Params[0].Name, g.Params[len(g.Params)-1].Name
	if first == last {
		return first
	}
	return first + " to " + last
}

// A place is where a weight lies in its group.
type place struct {
	name     string
	from, to int // its first number, and the one after its last
	end      int // where the next weight begins
}

func (g Group) places() []place {
	all := make([]place, len(g.Params))
	for i, p := range g.Params {
		all[i] = place{p.Name, g.Offsets[i], g.Offsets[i] + p.Len(), g.Len()}
		if i > 0 {
			all[i-1].end = g.Offsets[i]
		}
	}
	return all
}
