package device

import "math"

// Linear is a layer y = x·Wᵀ + bias + LoRA.
type Linear struct {
	W    Matrix // [O,I]
	Bias Tensor // [O], optional
	I, O int
	LoRA *LoRA // of all rows, optional
	// Adapters are LoRA branches of which each sequence of Pass has one of its own,
	// or none; for Linear alone, and instead of LoRA. Their dropout is not read, and
	// U is scratch of all of them, as large as M rows of the highest rank.
	Adapters []LoRA
	Pass     *Pass
}

// LoRA is the low-rank branch Scale·drop(x)·Aᵀ·Bᵀ of a linear layer
// (https://arxiv.org/abs/2106.09685).
type LoRA struct {
	A     Tensor // [R,I]
	B     Tensor // [O,R]
	U     Tensor // [M,R] scratch: drop(x)·Aᵀ, written by Linear, read by LinearBackward
	R     int
	Scale float32
	// Dropout is the probability that an input of the branch is zeroed, 0 when
	// not training. Element (m,i) is kept, and divided by 1−Dropout, iff
	// Uniform(Seed, m·I+i) ≥ Dropout, so that forward and backward agree without
	// storing a mask.
	Dropout float32
	Seed    uint64
}

// LinearGrad names the parameter gradients that a backward pass accumulates.
// Every field is optional.
type LinearGrad struct {
	W    Tensor // += [O,I] in F32 or, of a BF16 weight, BF16
	Bias Tensor // += [O]
	A    Tensor // += [R,I]
	B    Tensor // += [O,R]
	// DU is scratch [M,R] for the LoRA branch; required when A or B is given or
	// when dx must flow through the branch.
	DU Tensor
}

// Heads is the shape of attention.
type Heads struct {
	A, G, D int     // query heads, key/value groups, head width
	Rotary  int     // P: rotated dimensions of each head
	Base    float64 // rotary base, 10000·rope_ratio
}

// Width is the width of a fused query-key-value row.
func (s Heads) Width() int { return (s.A + 2*s.G) * s.D }

// Frequencies are the rotary angles per position, base^(−2i/P) for pair i in
// float32, as the original model holds them. The angle of a position is the
// float32 product pos·Frequencies()[i]; every device rounds there, so that
// they agree at long contexts.
func (s Heads) Frequencies() []float32 {
	f := make([]float32, s.Rotary/2)
	for i := range f {
		f[i] = float32(math.Pow(s.Base, -2*float64(i)/float64(s.Rotary)))
	}
	return f
}

// Cache holds keys and values of one layer for generation: each
// [pages, PagePositions, G, D] in F32 or BF16, both alike, keys already rotated.
// A sequence's pages are named by the pass.
type Cache struct{ K, V Tensor }

// Prefix is keys and values that stand before every sequence (P-Tuning v2,
// https://arxiv.org/abs/2110.07602): every row attends to all of them. They are
// used as they are: nothing rotates them, and they take no positions.
//
// Table is [N,Stride], and a row has the keys of all groups of this layer from
// number K on, its values from number V on: layers of a model share one table.
// As the gradient of a prefix it is a table of the same layout, of which this
// layer's part is "+=", summed over all sequences.
type Prefix struct {
	Table     Tensor // F32
	N, Stride int
	K, V      int
}

// Head is an output layer, of a vocabulary or of V classes.
type Head struct {
	W    Matrix // [V,H]
	Bias Tensor // [V], optional
	H, V int
}

// HeadGrad names the gradients of an output layer. Every field is optional.
type HeadGrad struct {
	W    Tensor // += [V,H] in F32 or, of a BF16 weight, BF16
	Bias Tensor // += [V]
}

// Objective is what CrossEntropy minimizes. The zero Objective is plain
// −log p(target), with p = softmax(x·Wᵀ + bias). Of the others, a row's loss is
//
//	−Σ_j q[j]·log p[j] + KL·Σ_j r[j]·(log r[j] − log p[j])
//
// where q is (1−Smoothing)·onehot(target) + Smoothing/V (label smoothing,
// https://arxiv.org/abs/1512.00567) and r = softmax(Reference·Wᵀ + bias), which
// gets no gradient: KL(r‖p) holds p near what a reference model says.
type Objective struct {
	Smoothing float32 // 0 ≤ ε < 1
	KL        float32 // λ ≥ 0
	Reference Tensor  // [M,H]a inputs of the output layer in the reference; read where KL > 0
}

// Plain reports whether it is −log p(target) and no more.
func (o Objective) Plain() bool { return o.Smoothing == 0 && o.KL == 0 }
