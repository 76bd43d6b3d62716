// The operators of device.Device as Go calls them: sizes are checked there,
// pointers are to memory of cpu_alloc, NULL is an operand that is not given.
// Capital letters are as in device.go.
#ifndef KERNELS_H
#define KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "format.h"
#include "isa.h"
#include "team.h"

// Scratch memory grows to what an operator asks for and is kept.
enum { PACKED_LEFT, PACKED_RIGHT, BLOCKS, WIDE_LEFT, WIDE_RESULT, DROPPED, LOGITS, BASE_LOGITS, GATHERED, PARTIAL, TRANSPOSED, PER_WORKER, SCRATCHES };

typedef struct cpu {
	team *team;
	const isa *isa;
	int bf16;  // round the operands of products
	int fault; // memory ran out
	code codes[2]; // of 8-bit moments: unsigned, signed
	struct { void *start; size_t bytes; } scratch[SCRATCHES];
} cpu;

// cpu_open uses the named inner kernels, or the best for NULL. It returns NULL
// when the threads cannot be started or the processor lacks those kernels.
cpu *cpu_open(int workers, const char *isa, int bf16);
void cpu_close(cpu *d);
// cpu_memory is what the machine has in all, 0 if it does not say.
int64_t cpu_memory(void);
// cpu_alloc maps zeroed memory, NULL when there is none left.
void *cpu_alloc(size_t bytes);
void cpu_free(void *start, size_t bytes);
// scratch returns at least that many bytes, or NULL after setting fault. It
// and each do nothing after a fault: so does every operator, by using them.
void *scratch(cpu *d, int which, size_t bytes);

// each runs task(…, i, …) for 0 ≤ i < tasks, on the whole team if wide.
typedef void (*task)(cpu *d, long i, int worker, void *job);
void each(cpu *d, long tasks, int wide, task f, void *job);

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
} product;
void multiply(cpu *d, const product *p);
// pack_narrow packs columns col… of a narrow b, `depth` of k from first_k on;
// narrow_dots computes rows m… and columns j… of c: multiply's ways with one.
void pack_narrow(const isa *isa, const products *kernels, void *to, const product *p, long col, long lanes, long first_k, long depth);
void narrow_dots(const cpu *d, const product *p, long m, long rows, long j, long cols);

// A piece is c[m,n] (+)= a·b as part of a task, a by both strides, rows of b
// contiguous; piece_of takes a and b as floats or, with format BF16, as bfloat16.
// It packs into piece_words of memory, sized for the largest piece; piece_begin
// and piece_end stand around all pieces of a thread.
long piece_words(const cpu *d, long m, long n, long k);
void piece_begin(const cpu *d);
void piece_end(const cpu *d);
void piece(const cpu *d, uint32_t *packed, float *c, long ldc, const float *a, long a_row, long a_col, const float *b, long ldb, long m, long n, long k, int add);
void piece_of(const cpu *d, uint32_t *packed, float *c, long ldc, int a_format, const void *a, long a_row, long a_col, int b_format, const void *b, long ldb, long m, long n, long k, int add);

// A linear is y[M,O] = x[M,I]·Wᵀ + bias, plus scale·drop(x)·Aᵀ·Bᵀ with LoRA.
typedef struct linear {
	matrix w;
	const float *bias;
	long i, o;
	const float *a, *b; // LoRA, a is NULL without it
	float *u;           // [M,R], float32 always
	long r;
	float scale, dropout;
	uint64_t seed;
	int x_format, y_format; // of x and its gradient, of y and its gradient: F32 or BF16
} linear;
// What is added to, NULL where it is not wanted; du is room for [M,R].
typedef struct linear_grad { float *w, *bias, *a, *b, *du; } linear_grad;
// linear_forward and linear_backward are for activations of any format: y and dx
// are assigned. cpu_linear and cpu_linear_backward are the same for float32.
void linear_forward(cpu *d, void *y, const void *x, long m, const linear *l);
void linear_backward(cpu *d, void *dx, const void *dy, const void *x, long m, const linear *l, const linear_grad *g);
void cpu_linear(cpu *d, float *y, const float *x, long m, const linear *l);
void cpu_linear_backward(cpu *d, float *dx, const float *dy, const float *x, long m, const linear *l, const linear_grad *g);
// add_columns adds the columns of x[m,n] to sum[n], row by row.
void add_columns(cpu *d, float *sum, int format, const void *x, long ldx, long m, long n);

void cpu_embed(cpu *d, float *y, const matrix *table, const int32_t *ids, long m, long h);
void cpu_embed_backward(cpu *d, float *dtable, const float *dy, const int32_t *ids, long m, long h);
void cpu_norm(cpu *d, float *y, float *rstd, float *x, const float *res, const float *w, long m, long h, float eps);
void cpu_norm_backward(cpu *d, float *dx, float *dw, const float *dy, const float *x, const float *w, const float *rstd, long m, long h);
void cpu_swiglu(cpu *d, float *z, const float *u, long m, long f);
void cpu_swiglu_backward(cpu *d, float *du, const float *dz, const float *u, long m, long f);

// heads.table holds cos and sin [position][P/2][2].
typedef struct heads { long a, g, d, rotary; } heads;
void cpu_rotary(cpu *d, float *qkv, const int32_t *pos, long m, const float *table, heads s, int inverse);
// sequences are rows starts[i] ≤ m < starts[i+1] for i < n.
// A prefix of n positions, 0 for none, stands before every sequence.
typedef struct prefix { float *k, *v; long n, stride; } prefix;
void cpu_attention(cpu *d, float *o, float *lse, const float *qkv, const int32_t *starts, long n, heads s, prefix p);
void cpu_attention_backward(cpu *d, float *dqkv, const float *dout, const float *o, const float *lse, const float *qkv, const int32_t *starts, long n, heads s, prefix p, prefix dp);
void cpu_attention_cached(cpu *d, float *o, const float *qkv, float *k, float *v, long max, const int32_t *slots, const int32_t *past, const int32_t *starts, long n, heads s, prefix p);

// base is NULL without an anchor.
typedef struct goal { float smoothing, anchor; const float *base; } goal;
// An output is the output layer, z[M,V] = x[M,H]·Wᵀ + bias, and what its rows are
// to say. Rows whose target is negative have no loss and no gradient.
typedef struct output {
	matrix w;
	const float *bias; // [V], or NULL
	long h, v;
	int format; // of x, its gradient and base: F32 or BF16
	const int32_t *targets; // [M]
	const float *weights;   // [M], or NULL for 1: factors of the rows' gradients, not of their losses
	float scale;            // factor of all gradients
	float smoothing, anchor; // as in device.Goal
	const void *base;       // [M,H], NULL without an anchor
} output;
// dx is assigned, w and bias are added to; NULL where a gradient is not wanted.
typedef struct output_grad { void *dx; float *w, *bias; } output_grad;
// output_loss assigns loss[M] and, unless NULL, hits[M]: 1 where the target is the
// likeliest of the vocabulary, of equally likely ones the first, else 0. Without
// any gradient asked for, none is computed.
void output_loss(cpu *d, float *loss, int32_t *hits, const void *x, long m, const output *o, const output_grad *g);
// cpu_cross_entropy is output_loss for float32, without bias, weights and hits.
void cpu_cross_entropy(cpu *d, float *loss, float *dx, float *dw, const float *x, const matrix *w, const int32_t *targets, long m, long h, long v, float scale, goal g);

void cpu_tanh(cpu *d, float *y, const float *x, long n);
void cpu_tanh_backward(cpu *d, float *dx, const float *dy, const float *y, long n);
void cpu_dropout(cpu *d, float *y, const float *x, long n, float p, uint64_t seed);
void cpu_noise(cpu *d, float *x, float a, long n, uint64_t seed);

void cpu_copy(cpu *d, float *to, const float *from, long n);
void cpu_zero(cpu *d, float *x, long n);
void cpu_axpy(cpu *d, float *y, float a, const float *x, long n);
void cpu_scale(cpu *d, float *x, float a, long n);
double cpu_squares(cpu *d, const float *x, long n);

static inline long least(long a, long b) { return a < b ? a : b; }
static inline long parts(long n, long size) { return (n + size - 1) / size; }

#endif
