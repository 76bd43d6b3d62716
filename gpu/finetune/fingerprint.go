package finetune

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
)

// fingerprint names everything that decides how this run goes, so that a
// checkpoint is never continued under other circumstances: options, adapters,
// device kind, base, the weights it starts from and every example. How often
// checkpoints are written decides nothing.
func (r *run) fingerprint() (string, error) {
	h := sha256.New()
	o := r.options
	o.SaveEvery, o.KeepCheckpoints, o.Memory = 0, 0, 0
	o.LoRA, _ = r.model.LoRA() // which are not the options' where the model had adapters
	o.Prefix, _ = r.model.Prefix()
	head, err := json.Marshal(struct {
		Options Options
		Device  string
		Base    string
		Weights string
	}{o, r.dev.Info().Kind, r.hooks.Base, r.model.Weights()})
	if err != nil {
		return "", err
	}
	h.Write(head)
	largest := 0
	for _, p := range r.params {
		largest = max(largest, p.Len())
	}
	values := make([]float32, largest)
	for _, p := range r.params {
		w := values[:p.Len()]
		if err := r.model.Values(p, w); err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n", p.Name, len(w))
		hashFloats(h, w)
	}
	for _, examples := range [][]Example{r.data.train, r.data.held} {
		hashNumbers(h, []int64{int64(len(examples))})
		for _, e := range examples {
			hashNumbers(h, e.IDs)
			hashNumbers(h, e.Labels)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// hashNumbers adds a slice and its length.
func hashNumbers[T int32 | int64](h hash.Hash, v []T) {
	// Neither a hash nor a slice of fixed-size numbers can make this fail.
	_ = binary.Write(h, binary.LittleEndian, int64(len(v)))
	_ = binary.Write(h, binary.LittleEndian, v)
}
