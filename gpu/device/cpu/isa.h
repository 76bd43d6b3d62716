// The inner kernels of one instruction set. Everything outside of isa_*.c is
// portable and calls through this table.
#ifndef ISA_H
#define ISA_H

#include <stdint.h>

#include "format.h"

// A block of attention is BLOCK queries by BLOCK keys.
enum { BLOCK = 64 };

// An 8-bit moment has a scale for each MOMENT_BLOCK of its values. A code's
// values ascend; above are the largest numbers that are rounded down to each, and
// first the code of the lowest float with the given upper 16 bits. Two of those
// are never further than one code apart where it matters, within [−1, 1].
enum { MOMENT_BLOCK = 256 };
typedef struct code {
	float value[256], above[256];
	uint8_t first[1 << 16];
} code;

// A packer copies an operand of a product into a panel of `width` lanes: rows of
// the left operand, columns of the right one. Element k of lane l is at
// src[l·lane_stride + k·k_stride], one of the strides being 1, and is a float or,
// with format BF16, a bfloat16. A panel's order is
// what the tile wants to read; lanes beyond `lanes` and depth beyond k are zero. A
// width is less than a vector's or a multiple of it.
typedef void packer(int format, void *dst, long width, const void *src, long lane_stride, long k_stride, long lanes, long k);

// products are how matrices of one precision are multiplied.
typedef struct products {
	int mr, nr;   // lanes of a panel of the left and of the right operand
	int pairs;    // values of k in a word of four bytes
	int multiple; // of so many words is the depth of a panel
	packer *left, *right;
	// c[rows,cols] = alpha·a·b + (add ? c : bias or 0) of two panels.
	void (*tile)(long depth, const void *a, const void *b, float *c, long ldc, long rows, long cols, float alpha, int add, const float *bias);
	void (*begin)(void), (*end)(void); // around all tiles of a thread, NULL where there is nothing to do
} products;

// A left operand of attention's products, see below.
typedef struct left_operand {
	const void *at;
	long row, k; // words from one row, and from one word of k, to the next
} left_operand;

// A flash is how attention computes blocks of BLOCK queries by BLOCK keys (flash.h).
// Operands are rows of words, with any stride: a word is `pair` numbers, one float or
// two bfloat16. A left operand [m,k] has the numbers of a row one after the other; a
// right one [k,n] has those of `pair` rows together.
typedef struct flash {
	int pair;  // 0 where the processor has no such products
	int lanes; // of queries are computed together
	// Rows of a tensor, at their places, as an operand [padded,wide]: d numbers of
	// each, zeros beyond.
	void (*left)(void *to, long wide, tensor x, const long *at, long rows, long padded, long d);
	void (*right)(void *to, long wide, tensor x, const long *at, long rows, long padded, long d);
	// c[m,n] (+)= a·b over k words; m is a multiple of 16, n of lanes. Pairs want a
	// k of 1 in the left operand, and multiples of 16 words.
	void (*product)(float *c, long ldc, left_operand a, const void *b, long ldb, long m, long n, long k, int add);
	int (*softmax)(void *p, float *s, long lanes, long rows, const int32_t *limit, float scale, float *top, float *sum, float *keep);
	void (*gradient)(void *p, void *ds, void *down, const float *s, const float *dp, long lanes, long rows, const int32_t *limit, float scale, const float *lse, const float *delta);
	void (*begin)(void), (*end)(void); // around all products of a thread, NULL where there is nothing to do
} flash;

typedef struct isa {
	const char *name;
	products fp32, bf16;
	// y[r·ldy + j] = alpha·x[r]·w[j] + (add ? y : bias or 0) for r < m ≤ 4, j < n.
	void (*dots)(float *y, long ldy, const float *x, long ldx, const float *w, long ldw, long m, long n, long k, float alpha, int add, const float *bias);
	// The same with w in a narrow format, whole rows with no space between; and n
	// numbers of such a row from number `from` on, a multiple of nr or of 16.
	void (*narrow_dots)(int format, float *y, long ldy, const float *x, long ldx, const void *w, const float *scales, long m, long n, long k, float alpha, int add, const float *bias);
	void (*decode)(int format, float *dst, const void *row, const float *scales, long from, long n);
	void (*round)(uint16_t *dst, const float *src, long n); // to bfloat16, ties to even
	// c[m,n] (+)= a·b, a by both strides, rows of b contiguous.
	void (*block)(float *c, long ldc, const float *a, long a_row, long a_col, const float *b, long ldb, long m, long n, long k, int add);

	// Attention.
	flash singles, pairs;
	void (*turn)(void *to, long to_stride, const void *x, long stride, long rows, long columns);
	void (*scale_lanes)(float *x, const float *factor, long rows, long lanes);
	void (*merge)(float *x, float *top, float *sum, const float *y, const float *y_top, const float *y_sum, long rows, long lanes);
	void (*rows_out)(tensor to, const long *at, const float *x, const float *factor, long rows, long d);
	void (*sum_heads)(tensor to, const float *x, long n, long step, long d, float factor, int add);
	float (*inner)(tensor x, tensor y, long n);

	// Rows.
	float (*norm)(tensor y, tensor sum, tensor x, tensor res, const float *w, long h, float eps);
	void (*norm_backward)(tensor dx, float *dw, tensor dy, tensor x, const float *w, float rstd, long h);
	void (*swiglu)(tensor z, tensor u, long f);
	void (*swiglu_backward)(tensor du, tensor dz, tensor u, long f);
	void (*rotary)(tensor x, const float *turn, long n, float sign);
	void (*sum_rows)(tensor y, tensor x, const int32_t *row, long rows, long n);
	float (*loss)(float *z, long v, long target, float scale, int gradient);
	float (*loss_toward)(float *z, float *base, long v, long target, float smoothing, float anchor, float scale);
	// Whether z[target] is the largest of v, of equal ones the first.
	int (*likeliest)(const float *z, long v, long target);

	// Runs.
	void (*axpy)(float *y, float a, const float *x, long n);
	void (*convert)(tensor y, tensor x, long n);
	double (*squares)(tensor x, long n);
	void (*tanh)(float *y, const float *x, long n);
	void (*tanh_backward)(float *dx, const float *dy, const float *y, long n);
	void (*noise)(tensor x, float a, uint64_t first, long n, uint64_t seed);
	void (*dropout)(tensor y, tensor x, uint64_t first, long n, float p, uint64_t seed, int add);

	// Optimizers: constants are listed in optimizer.h; n ≤ MOMENT_BLOCK for codes.
	void (*adamw)(weights w, tensor g, float *m, float *v, long n, float factor, const float constants[8]);
	void (*sgd)(weights w, tensor g, float *m, long n, float factor, const float constants[5]);
	void (*lion)(weights w, tensor g, float *m, long n, float factor, const float constants[6]);
	void (*average)(weights average, weights w, long n, float keep);
	void (*widen)(float *x, const uint8_t *codes, float scale, const code *c, long n);
	float (*narrow)(uint8_t *codes, const float *x, const code *c, long n); // returns the scale
} isa;

extern const isa isa_portable;

// Clang has another way to choose an instruction set for a file; there the
// portable kernels must do.
#if defined(__x86_64__) && !defined(__clang__)
#define X86_KERNELS
#endif
#ifdef X86_KERNELS
extern const isa isa_avx2, isa_avx512, isa_avx512bf16, isa_amx;
// amx_allowed asks the system for the tile registers; 0 where there are none.
int amx_allowed(void);
#endif

// isa_at is the i-th table that this processor can run, the fastest first, NULL
// beyond the last.
const isa *isa_at(int i);

#endif
