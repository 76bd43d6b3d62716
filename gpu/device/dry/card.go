package dry

import (
	"fmt"
	"strings"

	"github.com/glmflow/glmflow/gpu/device"
)

// A Card is a GPU that may not be at hand.
type Card struct {
	Name   string
	Memory int64 // bytes that a program can have
	Rates  Rates
}

const gib = 1 << 30

// Cards are GPUs that a 6B model is trained on, with the vendor's figures for
// memory and for dense bfloat16 products: of those products two thirds and of the
// bandwidth five sixths are counted on, which is what good kernels reach, and
// nothing here was measured.
func Cards() []Card {
	card := func(name string, memory, tflops, gbytes float64) Card {
		return Card{name, int64(memory * gib), Rates{Flops: tflops * 1e12 * 2 / 3, Bytes: gbytes * 1e9 * 5 / 6, Call: 5e-6}}
	}
	return []Card{
		card("rtx-4090-24gb", 23.5, 165, 1008),
		card("a100-40gb", 39.4, 312, 1555),
		card("a100-80gb", 79.2, 312, 2039),
		card("h100-80gb", 79.1, 989, 3350),
		card("h200-141gb", 139.8, 989, 4800),
	}
}

// CardNamed finds one of Cards.
func CardNamed(name string) (Card, error) {
	var names []string
	for _, c := range Cards() {
		if c.Name == name {
			return c, nil
		}
		names = append(names, c.Name)
	}
	return Card{}, fmt.Errorf("card %q: want %s", name, strings.Join(names, ", "))
}

// Machine is the card as a device: activations and the residual stream in
// bfloat16.
func (c Card) Machine() Machine {
	return Machine{
		Info: device.Info{
			Name: c.Name, Kind: "cuda/" + c.Name, Backend: "cuda", Precision: "bf16", Memory: c.Memory,
			Activations: device.BF16, Residual: device.BF16,
		},
		Workspace: cardWorkspace,
	}
}

// cardWorkspace is what a GPU needs beside operands: libraries and kernels, one
// chunk of rows of scores and their gradient, and for the attention's way back
// keys' and values' gradients of each query head.
func cardWorkspace(b device.Bounds) int64 {
	const libraries, chunk = 192 << 20, 256
	n := int64(libraries) + int64(min(chunk, b.M))*int64(b.Vocabulary)*(4+2)
	if b.Backward {
		n += int64(b.M) * int64(b.Heads.A*b.Heads.D) * 2 * 2
	}
	return n
}
