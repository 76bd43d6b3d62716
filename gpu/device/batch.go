package device

// A Batch is what a pass is about: sequences of rows that lie end to end,
// without padding, and never attend across. Sizes are those of the slices; nil
// stands for what an operator of the pass does not read.
type Batch struct {
	IDs       []int32   // [M] for Embed and EmbedBackward
	Positions []int32   // [M] for Rotary
	CuSeqlens []int32   // [S+1] sequence s is rows CuSeqlens[s] ≤ m < CuSeqlens[s+1]; nil is one sequence
	Targets   []int32   // [M] for CrossEntropy, negative for none
	Weights   []float32 // [M] of each row's loss; nil is 1
	Rows      []int32   // [N] for Gather and GatherBackward
	Adapters  []int32   // [S] for [Linear].Adapters: which one, −1 for none

	// With a cache: sequence s has Past[s] positions in pages Pages[s·P] …
	// Pages[s·P+P−1], of PagePositions positions each, in that order; its rows come
	// after them. Sequences may share pages that none of them writes.
	Past     []int32    // [S]
	Pages    []int32    // [S·P]
	Sampling []Sampling // [S] for Sample
}

// PagePositions is how many positions a page of a cache holds.
const PagePositions = 64

// Sampling is how a sequence's next token is picked: in this order repetition
// penalty, temperature, top-k, top-p.
type Sampling struct {
	Penalty     float32 // divides positive scores of ids seen before and multiplies others; 1 for none
	Temperature float32 // 0 takes the highest score, of equal ones that of the lowest id
	TopK        int32   // only so many of the highest scores; 0 is all
	TopP        float32 // the fewest of the likeliest that have this probability together; 1 is all
	// Seed of the draw: with the sequence's length after the last row, n, so that no
	// answer depends on what else is in the batch. u = Uniform(Seed, n) times the
	// sum of what was kept falls to the first id, in ascending order, at which the
	// sum up to and with it is greater; weights are exp((score−highest)/Temperature)
	// and sums are float64.
	Seed uint64
}

// A Pass is a batch in a device's memory.
type Pass struct {
	Limits    Limits
	M, S, N   int  // rows, sequences and gathered rows of the batch
	Pages     int  // pages of each sequence
	Lowest    int  // of the ids, 0 without any
	Highest   int  // of the ids, −1 without any
	Target    int  // the highest target, −1 without any
	Position  int  // the highest position, −1 without any
	Length    int  // of the longest sequence with what the cache has of it
	Adapter   int  // the highest adapter, −1 without any
	Page      int  // the highest page, −1 without any
	Has       Has  // what the batch had
	Penalised bool // some sequence has a repetition penalty
	On        any  // the device's own
}

// Has says which slices of a batch were given.
type Has struct{ IDs, Positions, Targets, Rows, Adapters, Past, Sampling bool }

// Limits are the sizes up to which a pass can be prepared.
type Limits struct {
	M, S, N int // rows, sequences and gathered rows
	Pages   int // of a sequence, 0 without a cache
}

// Bounds are the sizes that operators of a pass are asked for at most.
type Bounds struct {
	Limits
	Hidden, FFN, Vocabulary int   // H, F, V of the largest output layer
	Heads                   Heads // of attention
	Rank                    int   // of LoRA branches, 0 for none
	Prefix                  int   // positions of a prefix, 0 for none
	PrefixWidth             int   // numbers of its row
	Activations             Format
	Residual                Format
	Frozen                  Format // of the linears' weights
	Backward                bool   // backward passes, too
	Dropout                 bool   // of LoRA branches
	Reference               bool   // KL to a reference in the loss
	FullGradients           bool   // gradients of the linears' weights
}
