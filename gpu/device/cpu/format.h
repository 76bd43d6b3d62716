// How numbers are stored, as device.Format says.
#ifndef FORMAT_H
#define FORMAT_H

#include <stdint.h>

enum { F32, BF16, F16, INT8, INT4, NF4 };
enum { NF4_BLOCK = 64 }; // numbers of a row that share a scale

// A matrix is a weight [O,I] in a format; scales is NULL where it has none.
typedef struct matrix {
	int format;
	const void *data;
	const float *scales;
} matrix;

// row_bytes is how many bytes n numbers of a row take, row_scales how many
// scales they have.
static inline long row_bytes(int format, long n) {
	return format == F32 ? 4 * n : format == BF16 || format == F16 ? 2 * n : format == INT8 ? n : (n + 1) / 2;
}
static inline long row_scales(int format, long n) {
	return format == INT8 || format == INT4 ? 1 : format == NF4 ? (n + NF4_BLOCK - 1) / NF4_BLOCK : 0;
}
// number is where number i of a run begins, a multiple of two where those share a
// byte.
static inline const void *number(int format, const void *x, long i) { return (const char *)x + row_bytes(format, i); }

// A tensor is a run of numbers, F32 or BF16; without data it is not given.
typedef struct tensor {
	int format;
	void *data;
} tensor;

// number_bytes is what one of its numbers takes.
static inline long number_bytes(int format) { return format == F32 ? 4 : 2; }

// skip is t from its n-th number on.
static inline tensor skip(tensor t, long n) {
	return (tensor){t.format, t.data ? (char *)t.data + n * number_bytes(t.format) : t.data};
}

// Weights are what an optimizer updates: device.Weights. low is NULL with F32.
typedef struct weights {
	tensor w;
	uint16_t *low;
} weights;

#endif
