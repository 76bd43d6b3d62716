package device

// A Device computes the operators that ChatGLM3 is made of, forward and
// backward, on memory of its own. There are three: gpu/device/reference (plain
// Go, the specification), gpu/device/cpu (C kernels) and gpu/device/cuda.
// devicetest.Exercise holds all of them to float64. What Open of a backend
// returns is [Checked]: wrong arguments never reach a kernel.
//
// # Tensors
//
// Tensors are dense and row-major. Capital letters in comments are sizes:
//
//	M rows (tokens of a pass)           H hidden width       V vocabulary
//	S sequences of a pass               F feed-forward width R LoRA rank
//	I, O inputs and outputs of a linear A query heads, G key/value groups, D head width
//	N positions of a prefix             P rotated dimensions
//
// A letter after a shape says in which format a tensor may be held:
//
//	[M,H]a  an activation: F32 or BF16, all activations of one call alike
//	[M,H]r  the residual stream or its gradient: F32 or BF16, all of one call alike
//	[M,H]   F32
//
// [Info] says which formats a device is fastest with. Whatever is held, sums,
// norms, softmax and losses are computed in float32 or better and rounded once,
// to the nearest, when a result is stored.
//
// Weights are [O,I] (y = x·Wᵀ) and may be stored narrowly, see [Matrix].
// Gradients of weights are F32 or, of a BF16 weight, BF16. An empty Tensor means
// "not wanted" where a comment says optional.
//
// Outputs are assigned, whatever they held before. Gradients of parameters and
// of the residual stream are accumulated (+=); every such parameter is marked.
// Operands of a call do not overlap, unless a comment says that one may be
// another.
//
// # Memory
//
// Alloc returns memory that begins at a multiple of 256 bytes; every operand
// begins at a multiple of 16 ([Tensor.Slice] can break that, and only Copy takes
// such slices). Sizes may be odd.
//
// # Time
//
// Operators run in the order of the calls, but may not have run when a call
// returns. What the arguments' Go structures say is read before it returns; host
// slices given to Upload, Download and Prepare are the device's until the next
// Sync: they are neither written nor, for Download, read before. So a pass has no
// Sync but the one that reads its results.
//
// Results do not depend on the number of workers: the same inputs on the same
// [Info.Kind] of device give the same bits.
//
// # Threads
//
// A Device is used by one goroutine at a time. Do runs a function on the thread
// that owns the device; calls from elsewhere go there one by one, which is right
// but slow. A pass is one Do.
//
// # Errors
//
// An operator given wrong arguments panics: that is a defect in the caller.
// Faults of the hardware are sticky: operators after one do nothing, and Sync
// reports it.
type Device interface {
	Info() Info
	Close() error
	// Do runs f, which may call all of the device's methods, Do too, and returns
	// f's error.
	Do(f func() error) error
	// Free memory in bytes, as far as it is known, else −1; the budget counts.
	Available() int64

	// Alloc returns n bytes of zeros. It fails when the device's memory or its
	// budget is used up.
	Alloc(n int) (Mem, error)
	// Free gives back what Alloc returned, after the operators so far; slices of it
	// must not be used again.
	Free(Mem)
	// Upload copies len(src) bytes, the size of dst.
	Upload(dst Mem, src []byte)
	// Download copies len(dst) bytes, the size of src; they are there after Sync.
	Download(dst []byte, src Mem)
	Zero(dst Mem)
	// Copy copies src to dst, of the same length, and converts between formats.
	Copy(dst, src Tensor)
	// Swap exchanges the contents of two runs of the same length.
	Swap(a, b Mem)
	// Sync waits for all operators so far and returns the first fault.
	Sync() error

	// Workspace is how many bytes operators need beside their operands in a pass of
	// such bounds. Reserve takes them at once; without it they are taken when they
	// are first needed, and kept.
	Workspace(b Bounds) int64
	Reserve(b Bounds) error

	// NewPass takes memory for passes within limits, FreePass gives it back.
	NewPass(l Limits) (*Pass, error)
	FreePass(p *Pass)
	// Prepare makes p the pass of b, once for all operators that read it.
	Prepare(p *Pass, b Batch)
	// Advance moves a prepared pass of one row a sequence, with a cache, to the next
	// token of each: ids[S] become its ids, of which −1 (see Sample) counts as 0;
	// positions and past grow by one.
	Advance(p *Pass, ids Ints)

	// Embed: y[M,H]r = table[ids[m]].
	Embed(y Tensor, table Matrix, p *Pass, h int)
	// EmbedBackward: dtable[V,H] += dy[M,H]r at ids, in the order of rows.
	EmbedBackward(dtable, dy Tensor, p *Pass, h int)
	// Gather: y[N,H] = x[rows[n]] for the N rows that the pass names; y and x in any
	// one format.
	Gather(y, x Tensor, p *Pass, h int)
	// GatherBackward: dx[M,H] += dy[N,H] at the rows, in their order; both in any one
	// format.
	GatherBackward(dx, dy Tensor, p *Pass, h int)

	// RMSNorm: with res[M,H]a given, sum[M,H]r = x[M,H]r + res, else sum is x and not
	// given; then rstd[M] = 1/√(mean(sum²)+eps) and y[M,H]a = w[H] ⊙ sum·rstd, where
	// sum is what was stored. sum may be x.
	RMSNorm(y, rstd, sum, x, res, w Tensor, m, h int, eps float32)
	// RMSNormBackward: dx[M,H]r += gradient through the norm of dy[M,H]a at x[M,H]r;
	// dw[H] += (optional).
	RMSNormBackward(dx, dw, dy, x, w, rstd Tensor, m, h int)

	// Linear: y[M,O]a = x[M,I]a·Wᵀ + bias, plus the LoRA branch if l has one. y may be
	// F32 whatever x is: scores are.
	Linear(y, x Tensor, m int, l *Linear)
	// LinearBackward: dx[M,I]a = dy[M,O]a·W plus the LoRA branch's (optional), and the
	// parameter gradients that g asks for.
	LinearBackward(dx, dy, x Tensor, m int, l *Linear, g *LinearGrad)
	// Merge adds the LoRA branch to the weight, W += Scale·B·A, in float32, and
	// stores it as it was, rounded once: F32, BF16 or F16.
	Merge(l *Linear)

	// Rotary rotates the first P dimensions of every query and key head of the
	// fused rows qkv[M,(A+2G)·D]a in place, adjacent pairs, by the angle
	// position·base^(−2i/P), rounded as Heads.Frequencies says.
	// inverse rotates back: that is its own backward.
	Rotary(qkv Tensor, p *Pass, s Heads, inverse bool)

	// Attention: o[M,A·D]a = softmax(q·kᵀ/√D)·v, causal inside each sequence and
	// never across. lse[M,A] keeps the log of the softmax denominators for the
	// backward pass. x, optional, stands before every sequence.
	Attention(o, lse, qkv Tensor, p *Pass, s Heads, x *Prefix)
	// AttentionBackward: dqkv[M,(A+2G)·D]a from do[M,A·D]a (optional), and dx += the
	// gradient of the prefix (optional).
	AttentionBackward(dqkv, do, o, lse, qkv Tensor, p *Pass, s Heads, x, dx *Prefix)
	// AttentionCached writes the keys and values of qkv[M,(A+2G)·D]a into the pages
	// of the cache that the pass names, after what each sequence has in them, and
	// attends over all of it: o[M,A·D]a. x, optional, stands before it and is not
	// part of the cache.
	AttentionCached(o, qkv Tensor, c Cache, p *Pass, s Heads, x *Prefix)

	// SwiGLU: z[M,F]a = silu(u[:, :F])·u[:, F:] for u[M,2F]a.
	SwiGLU(z, u Tensor, m, f int)
	// SwiGLUBackward: du[M,2F]a from dz[M,F]a. du may be u.
	SwiGLUBackward(du, dz, u Tensor, m, f int)

	// CrossEntropy is the output layer and the loss in one: for each row with
	// targets[m] ≥ 0, loss[m] is what o says, by default
	// −log softmax(x[m]·Wᵀ + bias)[targets[m]]; 0 elsewhere. hits[M], optional, is 1
	// where no class is likelier than the target, nor as likely with a lower id, and
	// 0 elsewhere, −1 where logits are not finite. dx[M,H]a (optional) is
	// scale·weights[m] times its gradient, by default
	// scale·weights[m]·(softmax − onehot)·W (rows without a target get 0), and g's
	// gradients += the same way. loss itself is not weighed.
	// The logits are never held whole.
	CrossEntropy(loss Tensor, hits Ints, dx, x Tensor, p *Pass, l *Head, g *HeadGrad, scale float32, o Objective)

	// TopK: of each of n rows of scores[n,V], ids[n,k] and values[n,k] are the k
	// highest, in falling order, of equal ones those of lower ids first; lse[n] is
	// log Σ exp(scores). k ≤ V.
	TopK(ids Ints, values, lse, scores Tensor, n, v, k int)
	// Sample picks a token for each sequence by scores[S,V], as the pass's Sampling
	// says: ids[S], −1 where scores are not finite; logprob[S] (optional) is the
	// picked one's log softmax(scores), before penalty and temperature. seen[S,⌈V/32⌉],
	// one bit an id, lowest first, are the ids that the repetition penalty is for; the
	// picked one is added. It is optional where no sequence has a penalty. scores stay
	// as they are.
	Sample(ids, seen Ints, logprob, scores Tensor, p *Pass, v int)

	// Tanh: y = tanh(x).
	Tanh(y, x Tensor)
	// TanhBackward: dx = dy·(1−y²). dx may be dy.
	TanhBackward(dx, dy, y Tensor)
	// Dropout: y[i] = x[i]/(1−p) where Uniform(seed, i) ≥ p, else 0. It is its own
	// backward. y may be x.
	Dropout(y, x Tensor, p float32, seed uint64)
	// Noise: to x[M,H]r, number i of a sequence s of L rows,
	// a/√(L·H)·(2·Uniform(Stream(seed, s), i) − 1) is added.
	Noise(x Tensor, p *Pass, h int, a float32, seed uint64)
	// Axpy: y += a·x.
	Axpy(y Tensor, a float32, x Tensor)

	// ClipNorm: norm[0] = √Σg² over all tensors of g, summed in float64 in a fixed
	// order, each in F32 or BF16; norm[1] = min(1, limit/(√Σg²+10⁻⁶)), in float64 until
	// it is stored, 1 for limit 0, or not a number where norm[0] is not finite.
	ClipNorm(norm Tensor, g []Tensor, limit float32)
	// AdamW does one decoupled step on w with gradient g·factor[0] and moments m, v.
	// The optimizers do nothing where factor[0] is not a number.
	AdamW(w Weights, g Tensor, m, v Moment, factor Tensor, s AdamW)
	// SGD does one step on w with gradient g·factor[0] and, with s.Momentum, moment m.
	SGD(w Weights, g Tensor, m Moment, factor Tensor, s SGD)
	// Lion does one decoupled step on w with gradient g·factor[0] and moment m.
	Lion(w Weights, g Tensor, m Moment, factor Tensor, s Lion)
	// Average: avg = keep·avg + (1−keep)·w, both stored alike.
	Average(avg, w Weights, keep float32)
}

// Info says what a device is.
type Info struct {
	Name        string   // for people: "AMD EPYC, 2 workers, bf16 (avx512)"
	Kind        string   // names all that changes bits: "cpu/avx512-bf16", "reference/amd64-fp32"
	Backend     string   // "reference", "cpu", "cuda"
	Precision   string   // of matrix products: "fp32" or "bf16"
	Workers     int      // threads
	Memory      int64    // bytes in all, 0 if unknown
	Features    []string // instruction sets or compute capability
	InPlace     bool     // Mem may refer to memory of the host outside of the Go heap
	Activations Format   // F32 or BF16: what activations should be held in
	Residual    Format   // F32 or BF16: what the residual stream and its gradient should be held in
}

// Options are what every device is opened with.
type Options struct {
	Ordinal   int    // which of several devices of a backend, from 0; hosts have one
	Workers   int    // threads; 0 is one a core
	Precision string // "" and "fp32": fp32 products; "bf16": bf16 operands, fp32 sums
	// ISA is the instruction set whose kernels a host uses, "" for the best that its
	// processor has. Processors differ in the last bits; one that all have makes
	// them agree.
	ISA    string
	Budget int64 // bytes that Alloc, passes and workspace may take together; 0 is all there is
}
