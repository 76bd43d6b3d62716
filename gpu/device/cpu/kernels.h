// The operators of device.Device as Go calls them: sizes are checked there,
// pointers are to memory of cpu_alloc, NULL is an operand that is not given.
// Capital letters are as in device.go.
#ifndef KERNELS_H
#define KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "format.h"
#include "isa.h"
#include "pass.h"
#include "random.h"
#include "team.h"

// Scratch memory grows to what an operator asks for and is kept.
enum { PACKED_LEFT, PACKED_RIGHT, PANELS, SUMS, WIDE_LEFT, WIDE_RESULT, DROPPED, LOGITS, REFERENCE_LOGITS, GATHERED, PARTIAL, ATTENTION, SCRATCHES };

typedef struct cpu {
	team *team;
	const isa *isa;
	int bf16;      // round the operands of products
	int fault;     // memory ran out
	code codes[2]; // of 8-bit moments: unsigned, signed
	int64_t budget, used; // bytes; a budget of 0 is all there is
	struct { void *start; size_t bytes; } scratch[SCRATCHES];
	// In a rehearsal operators only note how much scratch memory they want. For that
	// to be possible none may read or write operands outside of its tasks.
	int rehearsing;
	size_t wanted[SCRATCHES];
	char nowhere[64]; // what operands refer to then
} cpu;

// cpu_open returns NULL when the threads cannot be started.
cpu *cpu_open(int workers, const isa *isa, int bf16, int64_t budget);
void cpu_close(cpu *d);
// cpu_memory is what the machine has in all, 0 if it does not say.
int64_t cpu_memory(void);
// cpu_alloc maps zeroed memory from a page's beginning, NULL when there is none
// left; cpu_mapped is how much of the budget that takes. cpu_free needs no device
// where that is closed.
void *cpu_alloc(cpu *d, size_t bytes);
void cpu_free(cpu *d, void *start, size_t bytes);
int64_t cpu_mapped(size_t bytes);
// scratch returns at least that many bytes, or NULL after setting fault. It, each
// and region do nothing after a fault: so does every operator, by using them.
void *scratch(cpu *d, int which, size_t bytes);
// cpu_reserve makes scratch have that many bytes now; 0 if there are not so many.
int cpu_reserve(cpu *d, int which, size_t bytes);

// each runs task(…, i, …) for 0 ≤ i < tasks, on the whole team if wide; region
// runs a body that claims its tasks itself.
typedef void (*task)(cpu *d, long i, int worker, void *job);
void each(cpu *d, long tasks, int wide, task f, void *job);
void region(cpu *d, int wide, team_body body, void *job);

// A product is c[M,N] = alpha·a[M,K]·b[K,N] + (add ? c : bias or 0), with the
// operands' strides along both of their indices, in numbers; of each pair one is
// 1. a and c are floats or, with their format BF16, bfloat16: the sum of a result
// is complete in float32, with what it is added to, before it is rounded once, to
// nearest even. b may be in any format; a quantised one is whole rows with no
// space between, BF16 and F16 with b_k = 1 as well.
typedef struct product {
	void *c;
	int c_format;
	long ldc;
	const void *a;
	int a_format;
	long a_row, a_k;
	const void *b;
	long b_k, b_col;
	int format; // of b
	const float *scales;
	long m, n, k;
	float alpha;
	int add;
	const float *bias; // [N], not with add
	// also are products that are added to rows of c, from row `row` on, before those
	// are rounded: as wide, without c and bias of their own. Where dropout is not 0,
	// what is added has dropout by device.Uniform(seed, m·N+n).
	const struct product *also;
	long also_count, row;
	float dropout;
	uint64_t seed;
} product;
void multiply(cpu *d, const product *p);
// FEW_ROWS are so few that packing would cost more than the product; BLOCK_ROWS
// are few enough for one block.
enum { FEW_ROWS = 16, BLOCK_ROWS = 128 };
// pack_narrow packs columns col… of a narrow b, `depth` of k from first_k on;
// narrow_dots computes rows m… and columns j… of c: multiply's ways with one.
void pack_narrow(const isa *isa, const products *kernels, void *to, const product *p, long col, long lanes, long first_k, long depth);
void narrow_dots(const cpu *d, const product *p, long m, long rows, long j, long cols);

// A linear is y[M,O] = x[M,I]·Wᵀ + bias, plus scale·drop(x)·Aᵀ·Bᵀ of its branches.
typedef struct linear {
	matrix w;
	const float *bias;
	long i, o;
	float dropout; // of the branches
	uint64_t seed;
} linear;
// A branch is LoRA for some of the rows.
typedef struct branch {
	long row, m, r;
	const float *a, *b;
	float *u; // [m,r]
	float scale;
} branch;
// What is added to, without data or NULL where it is not wanted; du is room for
// [M,R].
typedef struct linear_grad {
	tensor w;
	float *bias, *a, *b, *du;
} linear_grad;
void cpu_linear(cpu *d, tensor y, tensor x, long m, const linear *l, const branch *branches, long count);
// b is a branch for all rows, or NULL.
void cpu_linear_backward(cpu *d, tensor dx, tensor dy, tensor x, long m, const linear *l, const branch *b, const linear_grad *g);
// cpu_merge is W += scale·B·A.
void cpu_merge(cpu *d, const linear *l, const branch *b);
// add_columns adds the columns of x[m,n] to sum[n], row by row.
void add_columns(cpu *d, float *sum, tensor x, long ldx, long m, long n);

void cpu_embed(cpu *d, tensor y, const matrix *table, const pass *p, long h);
// The pass has by_id or by_row.
void cpu_embed_backward(cpu *d, tensor dtable, tensor dy, const pass *p, long h);
void cpu_gather(cpu *d, tensor y, tensor x, const pass *p, long h);
void cpu_gather_backward(cpu *d, tensor dx, tensor dy, const pass *p, long h);
void cpu_norm(cpu *d, tensor y, float *rstd, tensor sum, tensor x, tensor res, const float *w, long m, long h, float eps);
void cpu_norm_backward(cpu *d, tensor dx, float *dw, tensor dy, tensor x, const float *w, const float *rstd, long m, long h);
void cpu_swiglu(cpu *d, tensor z, tensor u, long m, long f);
void cpu_swiglu_backward(cpu *d, tensor du, tensor dz, tensor u, long m, long f);

typedef struct heads { long a, g, d, rotary; } heads;
// width is of a fused row of queries, keys and values.
static inline long width(heads s) { return (s.a + 2 * s.g) * s.d; }
// table holds cos and sin: [position][P/2][2].
void cpu_rotary(cpu *d, tensor qkv, const pass *p, const float *table, heads s, int inverse);
// A prefix of n positions, 0 for none, stands before every sequence.
typedef struct prefix { float *k, *v; long n, stride; } prefix;
void cpu_attention(cpu *d, tensor o, float *lse, tensor qkv, const pass *p, heads s, prefix x);
void cpu_attention_backward(cpu *d, tensor dqkv, tensor dout, tensor o, const float *lse, tensor qkv, const pass *p, heads s, prefix x, prefix dx);
void cpu_attention_cached(cpu *d, tensor o, tensor qkv, tensor k, tensor v, const pass *p, heads s, prefix x);

// An output is the output layer, z[M,V] = x[M,H]·Wᵀ + bias, and what its rows are
// to say (device.Objective). Gradients are multiplied by scale and the weight of
// their row.
typedef struct output {
	matrix w;
	const float *bias; // [V], or NULL
	long h, v;
	float scale, smoothing, kl;
	const void *reference; // [M,H] in the format of x, NULL without a KL term
} output;
// What is added to, without data or NULL where it is not wanted.
typedef struct output_grad {
	tensor w;
	float *bias;
} output_grad;
// dx, hits and g are optional.
void cpu_cross_entropy(cpu *d, float *loss, int32_t *hits, tensor dx, tensor x, const pass *p, const output *o, const output_grad *g);

void cpu_tanh(cpu *d, tensor y, tensor x, long n);
void cpu_tanh_backward(cpu *d, tensor dx, tensor dy, tensor y, long n);
void cpu_dropout(cpu *d, tensor y, tensor x, long n, float p, uint64_t seed);
void cpu_noise(cpu *d, tensor x, const pass *p, long h, float a, uint64_t seed);
void cpu_axpy(cpu *d, tensor y, float a, tensor x, long n);
void cpu_convert(cpu *d, tensor y, tensor x, long n);

void cpu_zero(cpu *d, void *to, long bytes);
void cpu_copy(cpu *d, void *to, const void *from, long bytes);
void cpu_swap(cpu *d, void *a, void *b, long bytes);

static inline long least(long a, long b) { return a < b ? a : b; }
static inline long parts(long n, long size) { return (n + size - 1) / size; }

#endif
