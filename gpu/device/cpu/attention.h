// What the attention operators share.
//
// For each query head, with the keys and values of its group,
//
//	o = softmax(q·kᵀ/√D)·v
//
// is 4·D operations and one exponential for each pair of a query and a key that it
// sees, backward 10·D and another one, while a row is 4·D numbers and its gradients
// as many. So operations decide, but for sequences of a few dozen rows. Eight
// sequences of 256 rows with six heads of 64 are 480 blocks of 64 by 64: 0.5 GFLOP
// forward and 1.3 backward, 2 M exponentials each, and 4 MB to read and write in
// bfloat16. One core of a Sapphire Rapids needs 2.5 ms for such products in float32
// and 0.3 ms on its tile units, where the exponentials (0.4 ms) and the memory
// (0.3 ms) weigh as much.
//
// The ladder from the formula to what is here:
//
//  1. Scores of all pairs in memory, softmax, product: 8 bytes a pair, three times.
//  2. A block of queries by a block of keys with a running softmax, as in
//     FlashAttention (https://arxiv.org/abs/2205.14135): scores never leave the
//     first cache, blocks above the diagonal and across sequences are never touched.
//  3. Scores lie with keys as rows and queries as lanes: the softmax needs no sums
//     across a vector, and what it makes is the next product's right operand as it
//     is, so that outputs are summed up as oᵀ = vᵀ·pᵀ and turned once, at the end.
//  4. Every operand is brought into the form that products read once: keys and
//     values for all heads and queries, queries for all keys.
//  5. Powers of two instead of e: the factor is in the scale already.
//  6. Of the blocks on the diagonal, the quarter that nobody sees is left out.
//
// A cache is the same with pages for blocks of keys (cached.c).
#ifndef ATTENTION_H
#define ATTENTION_H

#include "kernels.h"

// A shape is what stays the same for a whole call.
typedef struct shape {
	const isa *isa;
	const flash *f;
	heads s;
	long per;    // query heads of a group
	long wide;   // D as products want it
	long words;  // of an operand of BLOCK rows
	float scale; // log₂e/√D
} shape;

shape shape_of(const cpu *d, heads s);

// q_at, k_at and v_at are where the parts of a fused row begin.
static inline long q_at(heads s, long head) { return head * s.d; }
static inline long k_at(heads s, long g) { return (s.a + g) * s.d; }
static inline long v_at(heads s, long g) { return (s.a + s.g + g) * s.d; }

// depth is how many words of k a product over so many numbers runs through.
static inline long depth(const shape *a, long numbers) {
	return a->f->pair == 1 ? numbers : parts(numbers, 32) * 16;
}
static inline long sixteens(long n) { return parts(n, 16) * 16; }
static inline long lanes_for(const shape *a, long queries) { return parts(queries, a->f->lanes) * a->f->lanes; }

// places are those of rows that are `stride` numbers apart.
typedef struct places { long of[BLOCK]; } places;
static inline places every(long first, long stride, long rows) {
	places p = {{0}};
	for (long r = 0; r < rows; r++) p.of[r] = first + r * stride;
	return p;
}

// Queries are up to BLOCK lanes of one group, with what they have seen so far: a
// running softmax and the outputs under it.
typedef struct queries {
	long lanes;
	int seen;             // whether they have seen a block
	uint32_t *q;          // [D,BLOCK], a right operand
	float *o, *top, *sum; // [D,BLOCK], [BLOCK], [BLOCK]
	float *scores, *keep; // scratch
} queries;

// queries_floats is the memory that they take, queries_in lays them out there.
long queries_floats(const shape *a);
queries queries_in(const shape *a, float *memory);
// queries_begin makes them see nothing yet. queries_see takes a block of keys
// [BLOCK,D] and values [D,BLOCK], left operands both, into the softmax: all rows, or,
// for lane l, the first limit[l]. queries_answer writes outputs to their places.
void queries_begin(queries *q);
void queries_see(const shape *a, queries *q, left_operand keys, left_operand values, long rows, const int32_t *limit);
void queries_answer(const shape *a, const queries *q, tensor o, const long *at);

// A causal block is multiplied by halves where its first HALF lanes see no key of the
// second one; blind is how many lanes that are, HALF or none.
enum { HALF = BLOCK / 2 };
static inline long blind(const int32_t *limit, long rows, long lanes) {
	return limit && rows > HALF && lanes > HALF && limit[HALF - 1] <= HALF ? HALF : 0;
}
// The products of a block: scores[BLOCK,lanes] = keys·columns, and
// sums[wide,lanes] (+)= values·p over its rows. lanes are a multiple of f->lanes.
void scores_of(const shape *a, float *scores, left_operand keys, const uint32_t *columns, long rows, long lanes, long blind);
void sum_over(const shape *a, float *sums, left_operand values, const float *p, long rows, long lanes, long blind, int add);

// columns_of brings rows of x, at their places, into a right operand [D,BLOCK]. spare
// is for BLOCK·wide floats.
void columns_of(const shape *a, void *to, void *spare, tensor x, const long *at, long rows);
// keys_of brings them into a left operand [BLOCK,D], values_of into one [D,BLOCK];
// keys_in and values_in are those operands. Floats need no turning for that: one
// copy is both.
void keys_of(const shape *a, void *to, tensor x, const long *at, long rows);
void values_of(const shape *a, void *to, void *spare, tensor x, const long *at, long rows);
static inline left_operand keys_in(const shape *a, const void *words) { return (left_operand){words, a->wide / a->f->pair, 1}; }
static inline left_operand values_in(const shape *a, const void *words) {
	return a->f->pair == 1 ? (left_operand){words, 1, a->wide} : (left_operand){words, BLOCK / a->f->pair, 1};
}

// The keys of a call are the blocks of the prefix and then those of the pack.
typedef struct blocks {
	shape shape;
	const pass *p;
	tensor qkv;
	prefix x;
	long fixed, all; // blocks of the prefix, and of both
} blocks;
// A block is keys and values of one group, rows `stride` apart.
typedef struct block { tensor k, v; long stride, rows; } block;
blocks blocks_of(const cpu *d, const pass *p, tensor qkv, heads s, prefix x);
block block_of(const blocks *b, long i, long g);
// prefix_block is one of a prefix alone.
block prefix_block(prefix x, heads s, long i, long g);
// first_span is the first one of span i's sequence.
static inline long first_span(const pass *p, long i) {
	while (i > 0 && p->spans[i - 1].sequence == p->spans[i].sequence) i--;
	return i;
}

// Memory is cut into parts that begin with a line of the cache.
static inline long whole_lines(long floats) { return parts(floats, 16) * 16; }
static inline float *cut(float **rest, long floats) {
	float *part = *rest;
	*rest += whole_lines(floats);
	return part;
}

#endif
