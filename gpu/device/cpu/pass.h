// A prepared batch (device.Pass), as the operators read it.
#ifndef PASS_H
#define PASS_H

#include <stdint.h>

// A span is up to BLOCK rows inside one sequence.
typedef struct span { int32_t sequence, first, rows; } span;

// A pass has arrays for as many rows, sequences and pages as its limits say; NULL
// are those that its batch did not have.
typedef struct pass {
	long m, s, n, pages;        // rows, sequences, gathered rows, pages of a sequence
	const int32_t *ids;         // [M]
	const int32_t *positions;   // [M]
	const int32_t *cu_seqlens;  // [S+1]: sequence s is rows cu_seqlens[s] ≤ m < cu_seqlens[s+1]
	const int32_t *targets;     // [M], negative for none
	const float *weights;       // [M], NULL for ones
	const int32_t *rows;        // [N] to gather
	const int32_t *adapters;    // [S], −1 for none
	const int32_t *past;        // [S] positions in the cache
	const int32_t *page;        // [S,pages]
	const int32_t *by_id;       // [M] rows in the order of their ids, of equal ones in their own
	const int32_t *by_row;      // [N] places among the gathered, in the order of their rows
	const int32_t *scored;      // rows that have a target
	const span *spans;          // all rows, cut at sequences' ends
	long scored_rows, span_count;
	long longest;               // rows of a sequence
} pass;

#endif
