package finetune

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
)

// An identity is everything that decides how a run goes, in parts, so that a
// checkpoint of another run can say what was different there. How often
// checkpoints are written and what memory there is decide nothing.
type identity struct {
	Options    json.RawMessage `json:"options"`
	Device     string          `json:"device"`     // its kind
	Base       string          `json:"base"`       // see [Hooks]
	Weights    string          `json:"weights"`    // how the model keeps its weights
	Start      string          `json:"start"`      // digest of the trainable weights before the first step
	Training   string          `json:"training"`   // digest of the examples
	Validation string          `json:"validation"` // the same
}

// fingerprint is the identity of this run, and one digest of it all: a checkpoint
// is never continued under other circumstances.
func (r *run) fingerprint() (string, identity, error) {
	h := sha256.New()
	o := r.options
	o.SaveEvery, o.KeepCheckpoints, o.Memory = 0, 0, 0
	o.LoRA, _ = r.model.LoRA() // which are not the options' where the model had adapters
	o.Prefix, _ = r.model.Prefix()
	options, err := json.Marshal(o)
	if err != nil {
		return "", identity{}, err
	}
	id := identity{Options: options, Device: r.dev.Info().Kind, Base: r.hooks.Base, Weights: r.model.Weights()}
	head, err := json.Marshal(struct {
		Options Options
		Device  string
		Base    string
		Weights string
	}{o, id.Device, id.Base, id.Weights})
	if err != nil {
		return "", identity{}, err
	}
	h.Write(head)
	if id.Start, err = r.hashStart(h); err != nil {
		return "", identity{}, err
	}
	id.Training, id.Validation = hashExamples(h, r.data.train), hashExamples(h, r.data.held)
	return hex.EncodeToString(h.Sum(nil)), id, nil
}

// hashStart adds the trainable weights to all, and returns a digest of their own.
func (r *run) hashStart(all hash.Hash) (string, error) {
	largest := 0
	for _, p := range r.params {
		largest = max(largest, p.Len())
	}
	values := make([]float32, largest)
	own := sha256.New()
	both := io.MultiWriter(all, own)
	for _, p := range r.params {
		w := values[:p.Len()]
		if err := r.model.Values(p, w); err != nil {
			return "", err
		}
		fmt.Fprintf(both, "%s %d\n", p.Name, len(w))
		hashFloats(both, w)
	}
	return hex.EncodeToString(own.Sum(nil)), nil
}

// hashExamples adds examples to all, and returns a digest of their own.
func hashExamples(all hash.Hash, examples []Example) string {
	own := sha256.New()
	both := io.MultiWriter(all, own)
	hashNumbers(both, []int64{int64(len(examples))})
	for _, e := range examples {
		hashNumbers(both, e.IDs)
		hashNumbers(both, e.Labels)
	}
	return hex.EncodeToString(own.Sum(nil))
}

// hashNumbers adds a slice and its length.
func hashNumbers[T int32 | int64](h io.Writer, v []T) {
	// Neither hashes nor a slice of fixed-size numbers can make this fail.
	_ = binary.Write(h, binary.LittleEndian, int64(len(v)))
	_ = binary.Write(h, binary.LittleEndian, v)
}
