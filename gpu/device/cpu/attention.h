// What the attention operators share.
#ifndef ATTENTION_H
#define ATTENTION_H

#include "kernels.h"

// width is of a fused row; key and value are where those of a group begin.
static inline long width(heads s) { return (s.a + 2 * s.g) * s.d; }
static inline const float *key(const float *row, heads s, long g) { return row + (s.a + g) * s.d; }
static inline const float *value(const float *row, heads s, long g) { return row + (s.a + s.g + g) * s.d; }

// A pack is cut into blocks of up to BLOCK rows, each inside one sequence.
typedef struct span { long sequence, first, rows; } span;

// spans writes the blocks of n sequences and returns how many there are;
// parts(rows, BLOCK) + n is always enough room.
static inline long spans(span *to, const int32_t *starts, long n) {
	long count = 0;
	for (long i = 0; i < n; i++)
		for (long m = starts[i]; m < starts[i + 1]; m += BLOCK) to[count++] = (span){i, m, least(BLOCK, starts[i + 1] - m)};
	return count;
}

#endif
