package device

import "unsafe"

// A Device computes the operators that ChatGLM3 is made of, forward and
// backward, on memory of its own. There are three: gpu/device/reference (plain
// Go, the specification), gpu/device/cpu (C kernels) and gpu/device/cuda.
// devicetest.Exercise holds all of them to float64.
//
// # Conventions
//
// Tensors are dense, row-major float32. Capital letters in comments are sizes:
//
//	M rows (tokens of a packed batch)   H hidden width      V vocabulary
//	I, O inputs and outputs of a linear F feed-forward width R LoRA rank
//	A query heads, G key/value groups, D head width          P rotated dimensions
//	N positions of a prefix
//
// Weights are [O, I] (y = x·Wᵀ). The large ones are a Matrix and may be stored
// narrowly: every operator computes with the numbers that [Format.Decode] makes
// of them. Integers (token ids, positions, targets,
// sequence starts) are passed as host slices. An empty Mem means "not wanted"
// where a comment says optional.
//
// Outputs are assigned, whatever they held before. Gradients of parameters and
// of the residual stream are accumulated (+=); every such parameter is marked
// "+=" below.
//
// Results do not depend on the number of workers: the same inputs on the same
// kind of device give the same bits.
//
// # Errors
//
// An operator given wrong sizes panics: that is a defect in the caller. Faults
// of the hardware are sticky: operators after one do nothing, and Sync reports
// it. A Device is used by one goroutine at a time.
type Device interface {
	Info() Info
	Close() error

	// Alloc returns n zeroed floats. It fails when the device's memory is full.
	Alloc(n int) (Mem, error)
	// Free gives back what Alloc returned; slices of it must not be used again.
	Free(Mem)
	Upload(dst Mem, src []float32)
	Download(dst []float32, src Mem)
	Zero(dst Mem)
	Copy(dst, src Mem)
	// Sync waits for all operators so far and returns the first fault.
	Sync() error

	// Embed: y[M,H] = table[ids[m]].
	Embed(y Mem, table Matrix, ids []int32, h int)
	// EmbedBackward: dtable[V,H] += dy at ids, in the order of rows.
	EmbedBackward(dtable, dy Mem, ids []int32, h int)

	// RMSNorm: if res is given, x[M,H] += res first (x is the residual stream);
	// then rstd[M] = 1/√(mean(x²)+eps) and y = w ⊙ x·rstd, no rounding between.
	RMSNorm(y, rstd, x, res, w Mem, m, h int, eps float32)
	// RMSNormBackward: dx[M,H] += gradient through the norm; dw[H] += (optional).
	RMSNormBackward(dx, dw, dy, x, w, rstd Mem, m, h int)

	// Linear: y[M,O] = x[M,I]·Wᵀ + bias, plus the LoRA branch if l.LoRA is set.
	Linear(y, x Mem, m int, l *Linear)
	// LinearBackward: dx[M,I] = dy·W plus the LoRA branch's (optional), and the
	// parameter gradients that g asks for.
	LinearBackward(dx, dy, x Mem, m int, l *Linear, g *LinearGrad)

	// Rotary rotates the first P dimensions of every query and key head of the
	// fused rows qkv[M,(A+2G)·D] in place, adjacent pairs, by the angle
	// pos·base^(−2i/P), rounded as Heads.Frequencies says.
	// inverse rotates back: that is its own backward.
	Rotary(qkv Mem, pos []int32, s Heads, inverse bool)

	// Attention: o[M,A·D] = softmax(q·kᵀ/√D)·v, causal inside each sequence and
	// never across. starts has one entry more than there are sequences, from 0
	// to M; sequence i is rows starts[i] ≤ m < starts[i+1]. lse[M,A] keeps the
	// log of the softmax denominators for the backward pass. p, optional, stands
	// before every sequence.
	Attention(o, lse, qkv Mem, starts []int32, s Heads, p *Prefix)
	// AttentionBackward: dqkv[M,(A+2G)·D] from do[M,A·D] (optional), and dp += the
	// gradient of the prefix (optional).
	AttentionBackward(dqkv, do, o, lse, qkv Mem, starts []int32, s Heads, p, dp *Prefix)
	// AttentionCached appends the keys and values of qkv to a cache and attends
	// over it. Rows starts[i]…starts[i+1] are the new tokens of sequence slot
	// slots[i], which already holds past[i] positions of cache. p, optional,
	// stands before them and is not part of the cache.
	AttentionCached(o, qkv Mem, cache Cache, slots, past, starts []int32, s Heads, p *Prefix)

	// SwiGLU: z[M,F] = silu(u[:, :F])·u[:, F:] for u[M,2F].
	SwiGLU(z, u Mem, m, f int)
	// SwiGLUBackward: du[M,2F] from dz[M,F].
	SwiGLUBackward(du, dz, u Mem, m, f int)

	// CrossEntropy is the output layer and the loss in one: for each row with
	// targets[m] ≥ 0, loss[m] is what g says, by default
	// −log softmax(x[m]·Wᵀ)[targets[m]]; 0 elsewhere. With dx given, dx[M,H] =
	// scale times its gradient, by default scale·(softmax − onehot)·W (rows
	// without a target get 0), and dw[V,H] += (optional, not for narrow w).
	// The logits are never held whole.
	CrossEntropy(loss, dx, dw, x Mem, w Matrix, targets []int32, m, h, v int, scale float32, g Goal)

	// Tanh: y = tanh(x).
	Tanh(y, x Mem)
	// TanhBackward: dx = dy·(1−y²). dx may be dy.
	TanhBackward(dx, dy, y Mem)
	// Dropout: y[i] = x[i]/(1−p) where Uniform(seed, i) ≥ p, else 0. It is its own
	// backward. y may be x.
	Dropout(y, x Mem, p float32, seed uint64)
	// Noise: x[i] += a·(2·Uniform(seed, i) − 1).
	Noise(x Mem, a float32, seed uint64)

	// Axpy: y += a·x.
	Axpy(y Mem, a float32, x Mem)
	// Scale: x *= a.
	Scale(x Mem, a float32)
	// SumSquares returns Σx² in float64, summed in a fixed order. It syncs.
	SumSquares(x Mem) float64
	// AdamW does one decoupled step on p with gradient g and moments m, v.
	AdamW(p, g Mem, m, v Moment, s AdamW)
	// SGD does one step on p with gradient g and, with s.Momentum, moment m.
	SGD(p, g Mem, m Moment, s SGD)
	// Lion does one decoupled step on p with gradient g and moment m.
	Lion(p, g Mem, m Moment, s Lion)
}

// Info says what a device is.
type Info struct {
	Name      string   // for people: "AMD EPYC, 2 workers, bf16 (avx512)"
	Kind      string   // equal kinds give equal bits: "cpu/avx512-bf16", "reference"
	Backend   string   // "reference", "cpu", "cuda"
	Precision string   // of matrix products: "fp32" or "bf16"
	Workers   int      // threads
	Memory    int64    // bytes in all, 0 if unknown
	Features  []string // instruction sets or compute capability
	InPlace   bool     // Mem and Bytes may refer to memory of the host outside of the Go heap
}

// Options are what every device is opened with.
type Options struct {
	Workers   int    // threads; 0 is one a core
	Precision string // "" and "fp32": fp32 products; "bf16": bf16 operands, fp32 sums
}

// Mem is a run of floats in a device's memory. Host devices use Host, CUDA
// uses Addr; only the device that allocated it may touch what it refers to.
type Mem struct {
	Host []float32
	Addr uint64 // device address of the first float
	N    int    // floats
}

// Len is the number of floats.
func (m Mem) Len() int { return m.N }

// Empty reports whether m refers to nothing.
func (m Mem) Empty() bool { return m.N == 0 }

// Same reports whether m and o begin at the same float.
func (m Mem) Same(o Mem) bool {
	return m.Addr == o.Addr && unsafe.SliceData(m.Host) == unsafe.SliceData(o.Host)
}

// Slice is floats i up to j of m, sharing its storage.
func (m Mem) Slice(i, j int) Mem {
	if i < 0 || j < i || j > m.N {
		panic("device: slice out of range")
	}
	s := Mem{N: j - i}
	if m.Host != nil {
		s.Host = m.Host[i:j:j]
	}
	if m.Addr != 0 {
		s.Addr = m.Addr + 4*uint64(i)
	}
	return s
}

// Linear is a layer y = x·Wᵀ + bias + LoRA.
type Linear struct {
	W    Matrix // [O,I]
	Bias Mem    // [O], optional
	I, O int
	LoRA *LoRA
}

// LoRA is the low-rank branch Scale·drop(x)·Aᵀ·Bᵀ of a linear layer
// (https://arxiv.org/abs/2106.09685).
type LoRA struct {
	A     Mem // [R,I]
	B     Mem // [O,R]
	U     Mem // [M,R] scratch: drop(x)·Aᵀ, written by Linear, read by LinearBackward
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
	W    Mem // += [O,I], not for a narrow W
	Bias Mem // += [O]
	A    Mem // += [R,I]
	B    Mem // += [O,R]
	// DU is scratch [M,R] for the LoRA branch; required when A or B is given or
	// when dx must flow through the branch.
	DU Mem
}

// Heads is the shape of attention.
type Heads struct {
	A, G, D int     // query heads, key/value groups, head width
	Rotary  int     // P: rotated dimensions of each head
	Base    float64 // rotary base, 10000·rope_ratio
}

// Width is the width of a fused query-key-value row.
func (s Heads) Width() int { return (s.A + 2*s.G) * s.D }

// Cache holds keys and values of one layer for generation: [slots, Max, G, D]
// each, keys already rotated.
type Cache struct {
	K, V Mem
	Max  int // positions a slot can hold
}
