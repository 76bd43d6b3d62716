// Attention over packed sequences, a block of queries by a block of keys at a
// time with a running softmax, as in FlashAttention
// (https://arxiv.org/abs/2205.14135). Blocks above the diagonal and across
// sequences are never touched.
//
// Scores want keys with their dimensions as rows; a first phase transposes
// every block of keys once, for all the query heads that read it.
//
// A prefix is cut into blocks as well. They come after those of the pack, and
// every query reads all of them.
#include "attention.h"

#include <math.h>
#include <string.h>

// What a worker has of its own: scores, their gradients or sums and tops of their
// rows, then room for packing.
enum { LOCAL = 2 * BLOCK * BLOCK + 2 * BLOCK };

struct attention {
	cpu *d;
	heads s;
	const float *qkv, *dout, *o, *lse;
	float *out, *out_lse, *dqkv;
	const pass *pass;
	prefix p, dp;
	long count, fixed; // blocks of the pack, blocks of the prefix
	float *keys, *values; // transposed: [block, G, D, BLOCK]
	float *dk, *dv;      // of each query head by itself: [M, A, D]
	float *pk, *pv;      // those of the prefix: [N, A, D]
	float *delta;        // [M, A]: Σ do·o
	float *local;        // of each worker
	long local_floats;
	float root;          // 1/√D
};

// block_of is the i-th block; those of the prefix come last.
static span block_of(const struct attention *a, long i) {
	if (i < a->count) return a->pass->spans[i];
	long first = (i - a->count) * BLOCK;
	return (span){-1, (int32_t)first, (int32_t)least(BLOCK, a->p.n - first)};
}

// multiplied is a product of blocks; local is the worker's memory.
static void multiplied(const struct attention *a, float *local, float *c, long ldc, const float *x, long x_row, long x_col, const float *y, long ldy, long m, long n, long k, int add) {
	piece(a->d, (uint32_t *)(void *)(local + LOCAL), c, ldc, x, x_row, x_col, y, ldy, m, n, k, add);
}

// A lines is rows of floats that are `next` apart.
typedef struct lines { const float *first; long next; } lines;

static lines keys_of(const struct attention *a, long block, long g) {
	span b = block_of(a, block);
	if (block >= a->count) return (lines){a->p.k + b.first * a->p.stride + g * a->s.d, a->p.stride};
	return (lines){key(a->qkv + b.first * width(a->s), a->s, g), width(a->s)};
}

static lines values_of(const struct attention *a, long block, long g) {
	span b = block_of(a, block);
	if (block >= a->count) return (lines){a->p.v + b.first * a->p.stride + g * a->s.d, a->p.stride};
	return (lines){value(a->qkv + b.first * width(a->s), a->s, g), width(a->s)};
}

// transpose_task transposes the keys, and the values where wanted, of one
// block and one group; lanes beyond the block are zero.
static void transpose_task(const struct attention *a, long i) {
	long block = i / a->s.g, g = i % a->s.g, rows = block_of(a, block).rows, at = i * a->s.d * BLOCK;
	lines k = keys_of(a, block, g), v = values_of(a, block, g);
	a->d->isa->transpose(a->keys + at, BLOCK, k.first, k.next, 1, rows, a->s.d);
	if (a->values) a->d->isa->transpose(a->values + at, BLOCK, v.first, v.next, 1, rows, a->s.d);
}

// forward_task is one query head of one block of queries.
static void forward_task(const struct attention *a, long i, int worker) {
	heads s = a->s;
	const isa *k = a->d->isa;
	long qb = i / s.a, head = i % s.a, g = head / (s.a / s.g);
	span q = block_of(a, qb);
	float *scores = a->local + worker * a->local_floats, *sum = scores + BLOCK * BLOCK, *top = sum + BLOCK;
	float *o = a->out + q.first * s.a * s.d + head * s.d;
	const float *query = a->qkv + q.first * width(s) + head * s.d;
	for (long r = 0; r < q.rows; r++) {
		top[r] = -INFINITY;
		sum[r] = 0;
	}
	long first = qb;
	while (first > 0 && block_of(a, first - 1).sequence == q.sequence) first--;
	for (long i = 0; i < a->fixed + qb - first + 1; i++) {
		long kb = i < a->fixed ? a->count + i : first + i - a->fixed, rows = block_of(a, kb).rows;
		lines values = values_of(a, kb, g);
		multiplied(a, scores, scores, BLOCK, query, width(s), 1, a->keys + (kb * s.g + g) * s.d * BLOCK, BLOCK, q.rows, BLOCK, s.d, 0);
		for (long r = 0; r < q.rows; r++) {
			float keep = k->softmax_step(scores + r * BLOCK, kb == qb ? r + 1 : rows, a->root, top + r, sum + r);
			if (i > 0 && keep != 1) k->scale(o + r * s.a * s.d, keep, s.d);
		}
		multiplied(a, scores, o, s.a * s.d, scores, BLOCK, 1, values.first, values.next, q.rows, s.d, rows, i > 0);
	}
	for (long r = 0; r < q.rows; r++) {
		k->scale(o + r * s.a * s.d, 1 / sum[r], s.d);
		a->out_lse[(q.first + r) * s.a + head] = top[r] + (float)log((double)sum[r]);
	}
}

static void forward_body(team *t, int worker, void *job) {
	const struct attention *a = job;
	for (long i; (i = team_claim(t)) < (a->count + a->fixed) * a->s.g;) transpose_task(a, i);
	team_barrier(t);
	// The last block of a sequence has the most keys: begin at the end.
	long tasks = a->count * a->s.a;
	piece_begin(a->d);
	for (long i; (i = team_claim(t)) < tasks;) forward_task(a, tasks - 1 - i, worker);
	piece_end(a->d);
}

// prepare cuts the pack into blocks and reserves the scratch memory.
static int prepare(struct attention *a, int backward) {
	heads s = a->s;
	long rows = a->pass->m;
	a->count = a->pass->span_count;
	a->fixed = parts(a->p.n, BLOCK);
	long each = (a->count + a->fixed) * s.g * s.d * BLOCK;
	int workers = team_workers(a->d->team);
	a->keys = scratch(a->d, TRANSPOSED, 4 * (size_t)each * (backward ? 2 : 1));
	long longest = BLOCK > s.d ? BLOCK : s.d;
	a->local_floats = LOCAL + piece_words(a->d, BLOCK, longest, longest);
	a->local = scratch(a->d, PER_WORKER, 4 * (size_t)(a->local_floats * workers));
	if (!a->keys || !a->local) return 0;
	a->root = 1 / sqrtf((float)s.d);
	if (!backward) return 1;
	a->values = a->keys + each;
	a->dk = scratch(a->d, PARTIAL, 4 * (size_t)(s.a * (rows * (2 * s.d + 1) + a->p.n * 2 * s.d)));
	if (!a->dk) return 0;
	a->dv = a->dk + rows * s.a * s.d;
	a->pk = a->dv + rows * s.a * s.d;
	a->pv = a->pk + a->p.n * s.a * s.d;
	a->delta = a->pv + a->p.n * s.a * s.d;
	return 1;
}

static int worth_a_team(const struct attention *a) { return a->pass->m * a->s.a * a->s.d > 1 << 13; }

void cpu_attention(cpu *d, float *o, float *lse, const float *qkv, const pass *pass, heads s, prefix p) {
	struct attention a = {.d = d, .s = s, .qkv = qkv, .out = o, .out_lse = lse, .pass = pass, .p = p};
	if (prepare(&a, 0)) region(d, worth_a_team(&a), forward_body, &a);
}

// delta_task is Σ do·o of one block.
static void delta_task(const struct attention *a, span b) {
	heads s = a->s;
	for (long i = b.first * s.a; i < (b.first + b.rows) * s.a; i++) a->delta[i] = a->d->isa->inner(a->dout + i * s.d, a->o + i * s.d, s.d);
}

// pair_task is one block of queries against one of keys, for one head:
//
//	P = exp(q·kᵀ/√D − lse)    dS = P ⊙ (do·vᵀ − δ)/√D
static void pair_task(const struct attention *a, long qb, long kb, long head, float *p) {
	heads s = a->s;
	const isa *k = a->d->isa;
	long g = head / (s.a / s.g), w = width(s), wide = s.a * s.d;
	span q = block_of(a, qb), b = block_of(a, kb);
	float *ds = p + BLOCK * BLOCK;
	const float *query = a->qkv + q.first * w + head * s.d, *dout = a->dout + q.first * wide + head * s.d;
	long at = (kb * s.g + g) * s.d * BLOCK;
	multiplied(a, p, p, BLOCK, query, w, 1, a->keys + at, BLOCK, q.rows, BLOCK, s.d, 0);
	multiplied(a, p, ds, BLOCK, dout, wide, 1, a->values + at, BLOCK, q.rows, BLOCK, s.d, 0);
	for (long r = 0; r < q.rows; r++) {
		long i = (q.first + r) * s.a + head;
		k->scores_backward(p + r * BLOCK, ds + r * BLOCK, qb == kb ? r + 1 : b.rows, a->root, a->lse[i], a->delta[i]);
	}
}

// query_task is dq (+)= dS·k of a pair.
static void query_task(const struct attention *a, long qb, long kb, long head, float *p, int add) {
	heads s = a->s;
	span q = block_of(a, qb);
	lines keys = keys_of(a, kb, head / (s.a / s.g));
	multiplied(a, p, a->dqkv + q.first * width(s) + head * s.d, width(s), p + BLOCK * BLOCK, BLOCK, 1, keys.first, keys.next, q.rows, s.d, block_of(a, kb).rows, add);
}

// key_task is dv (+)= Pᵀ·do and dk (+)= dSᵀ·q of a pair.
static void key_task(const struct attention *a, long qb, long kb, long head, float *p, int add) {
	heads s = a->s;
	long w = width(s), wide = s.a * s.d;
	span q = block_of(a, qb), b = block_of(a, kb);
	float *dk = kb < a->count ? a->dk : a->pk, *dv = kb < a->count ? a->dv : a->pv;
	long to = b.first * wide + head * s.d;
	multiplied(a, p, dv + to, wide, p, 1, BLOCK, a->dout + q.first * wide + head * s.d, wide, b.rows, s.d, q.rows, add);
	multiplied(a, p, dk + to, wide, p + BLOCK * BLOCK, 1, BLOCK, a->qkv + q.first * w + head * s.d, w, b.rows, s.d, q.rows, add);
}

// sequence_task is a head of a sequence: it owns its dq, and its share of dk and
// dv.
static void sequence_task(const struct attention *a, long sequence, long head, float *local) {
	long first = 0, end;
	while (first < a->count && block_of(a, first).sequence < sequence) first++;
	for (end = first; end < a->count && block_of(a, end).sequence == sequence;) end++;
	for (long kb = a->count; kb < a->count + a->fixed; kb++)
		for (long qb = first; qb < end; qb++) {
			pair_task(a, qb, kb, head, local);
			query_task(a, qb, kb, head, local, kb > a->count);
		}
	for (long kb = first; kb < end; kb++)
		for (long qb = kb; qb < end; qb++) {
			pair_task(a, qb, kb, head, local);
			key_task(a, qb, kb, head, local, qb > kb);
			query_task(a, qb, kb, head, local, kb > first || a->fixed > 0);
		}
}

// prefix_task is a head's share of dk and dv of one block of the prefix, from
// all sequences.
static void prefix_task(const struct attention *a, long kb, long head, float *local) {
	for (long qb = 0; qb < a->count; qb++) {
		pair_task(a, qb, kb, head, local);
		key_task(a, qb, kb, head, local, qb > 0);
	}
}

// group_task adds up what the heads of each group gave its keys and values.
static void group_task(const struct attention *a, span b) {
	heads s = a->s;
	long per = s.a / s.g;
	for (long m = b.first; m < b.first + b.rows; m++)
		for (long g = 0; g < s.g; g++) {
			float *dk = a->dqkv + m * width(s) + (s.a + g) * s.d, *dv = dk + s.g * s.d;
			const float *fk = a->dk + (m * s.a + g * per) * s.d, *fv = a->dv + (m * s.a + g * per) * s.d;
			memcpy(dk, fk, 4 * (size_t)s.d);
			memcpy(dv, fv, 4 * (size_t)s.d);
			for (long h = 1; h < per; h++) {
				a->d->isa->axpy(dk, 1, fk + h * s.d, s.d);
				a->d->isa->axpy(dv, 1, fv + h * s.d, s.d);
			}
		}
}

// prefix_group_task adds to the prefix's gradient what the heads of each group
// gave.
static void prefix_group_task(const struct attention *a, span b) {
	heads s = a->s;
	for (long m = b.first; m < b.first + b.rows; m++)
		for (long h = 0; h < s.a; h++) {
			long to = m * a->dp.stride + h / (s.a / s.g) * s.d, from = (m * s.a + h) * s.d;
			a->d->isa->axpy(a->dp.k + to, 1, a->pk + from, s.d);
			a->d->isa->axpy(a->dp.v + to, 1, a->pv + from, s.d);
		}
}

static void backward_body(team *t, int worker, void *job) {
	const struct attention *a = job;
	heads s = a->s;
	float *local = a->local + worker * a->local_floats;
	long transposed = (a->count + a->fixed) * s.g;
	for (long i; (i = team_claim(t)) < transposed + a->count;) {
		if (i < transposed)
			transpose_task(a, i);
		else
			delta_task(a, block_of(a, i - transposed));
	}
	team_barrier(t);
	long sequences = a->dqkv ? a->pass->s * s.a : 0, fixed = a->dp.n ? a->fixed : 0;
	piece_begin(a->d);
	for (long i; (i = team_claim(t)) < sequences + fixed * s.a;) {
		if (i < sequences)
			sequence_task(a, i / s.a, i % s.a, local);
		else
			prefix_task(a, a->count + (i - sequences) / s.a, i % s.a, local);
	}
	piece_end(a->d);
	team_barrier(t);
	long grouped = a->dqkv ? a->count : 0;
	for (long i; (i = team_claim(t)) < grouped + fixed;) {
		if (i < grouped)
			group_task(a, block_of(a, i));
		else
			prefix_group_task(a, block_of(a, a->count + i - grouped));
	}
}

void cpu_attention_backward(cpu *d, float *dqkv, const float *dout, const float *o, const float *lse, const float *qkv, const pass *pass, heads s, prefix p, prefix dp) {
	struct attention a = {.d = d, .s = s, .qkv = qkv, .dout = dout, .o = o, .lse = lse, .dqkv = dqkv, .pass = pass, .p = p, .dp = dp};
	if (prepare(&a, 1)) region(d, worth_a_team(&a), backward_body, &a);
}
