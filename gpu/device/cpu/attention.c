// Attention over packed sequences, a block of queries by a block of keys at a
// time with a running softmax, as in FlashAttention
// (https://arxiv.org/abs/2205.14135). Blocks above the diagonal and across
// sequences are never touched.
//
// Scores want keys with their dimensions as rows; a first phase transposes
// every block of keys once, for all the query heads that read it.
#include "attention.h"

#include <math.h>
#include <string.h>

struct attention {
	cpu *d;
	heads s;
	const float *qkv, *dout, *o, *lse;
	float *out, *out_lse, *dqkv;
	const int32_t *starts;
	const span *blocks;
	long n, count;       // sequences, blocks
	float *keys, *values; // transposed: [block, G, D, BLOCK]
	float *dk, *dv;      // of each query head by itself: [M, A, D]
	float *delta;        // [M, A]: Σ do·o
	float *local;        // of each worker
	long local_floats;
	float root;          // 1/√D
};

// transpose_task transposes the keys, and the values where wanted, of one
// block and one group; lanes beyond the block are zero.
static void transpose_task(const struct attention *a, long i) {
	heads s = a->s;
	span b = a->blocks[i / s.g];
	const float *row = a->qkv + b.first * width(s);
	long at = i * s.d * BLOCK;
	a->d->isa->transpose(a->keys + at, BLOCK, key(row, s, i % s.g), width(s), 1, b.rows, s.d);
	if (a->values) a->d->isa->transpose(a->values + at, BLOCK, value(row, s, i % s.g), width(s), 1, b.rows, s.d);
}

// forward_task is one query head of one block of queries.
static void forward_task(const struct attention *a, long i, int worker) {
	heads s = a->s;
	const isa *k = a->d->isa;
	long qb = i / s.a, head = i % s.a, g = head / (s.a / s.g);
	span q = a->blocks[qb];
	float *scores = a->local + worker * a->local_floats, *sum = scores + BLOCK * BLOCK, *top = sum + BLOCK;
	float *o = a->out + q.first * s.a * s.d + head * s.d;
	const float *query = a->qkv + q.first * width(s) + head * s.d;
	for (long r = 0; r < q.rows; r++) {
		top[r] = -INFINITY;
		sum[r] = 0;
	}
	long first = qb;
	while (first > 0 && a->blocks[first - 1].sequence == q.sequence) first--;
	for (long kb = first; kb <= qb; kb++) {
		span b = a->blocks[kb];
		k->block(scores, BLOCK, query, width(s), 1, a->keys + (kb * s.g + g) * s.d * BLOCK, BLOCK, q.rows, BLOCK, s.d, 0);
		for (long r = 0; r < q.rows; r++) {
			float keep = k->softmax_step(scores + r * BLOCK, kb == qb ? r + 1 : b.rows, a->root, top + r, sum + r);
			if (kb > first && keep != 1) k->scale(o + r * s.a * s.d, keep, s.d);
		}
		k->block(o, s.a * s.d, scores, BLOCK, 1, value(a->qkv + b.first * width(s), s, g), width(s), q.rows, s.d, b.rows, kb > first);
	}
	for (long r = 0; r < q.rows; r++) {
		k->scale(o + r * s.a * s.d, 1 / sum[r], s.d);
		a->out_lse[(q.first + r) * s.a + head] = top[r] + (float)log((double)sum[r]);
	}
}

static void forward_body(team *t, int worker, void *job) {
	const struct attention *a = job;
	for (long i; (i = team_claim(t)) < a->count * a->s.g;) transpose_task(a, i);
	team_barrier(t);
	// The last block of a sequence has the most keys: begin at the end.
	long tasks = a->count * a->s.a;
	for (long i; (i = team_claim(t)) < tasks;) forward_task(a, tasks - 1 - i, worker);
}

// prepare cuts the pack into blocks and reserves the scratch memory.
static int prepare(struct attention *a, int backward) {
	heads s = a->s;
	long rows = a->starts[a->n], most = parts(rows, BLOCK) + a->n, each = most * s.g * s.d * BLOCK;
	int workers = team_workers(a->d->team);
	span *blocks = scratch(a->d, GATHERED, (size_t)most * sizeof(span));
	a->keys = scratch(a->d, TRANSPOSED, 4 * (size_t)each * (backward ? 2 : 1));
	a->local_floats = 2 * BLOCK * BLOCK + 2 * BLOCK;
	a->local = scratch(a->d, PER_WORKER, 4 * (size_t)(a->local_floats * workers));
	if (!blocks || !a->keys || !a->local) return 0;
	a->count = spans(blocks, a->starts, a->n);
	a->blocks = blocks;
	a->root = 1 / sqrtf((float)s.d);
	if (!backward) return 1;
	a->values = a->keys + each;
	a->dk = scratch(a->d, PARTIAL, 4 * (size_t)(rows * s.a * (2 * s.d + 1)));
	if (!a->dk) return 0;
	a->dv = a->dk + rows * s.a * s.d;
	a->delta = a->dv + rows * s.a * s.d;
	return 1;
}

static int worth_a_team(const struct attention *a) { return (long)a->starts[a->n] * a->s.a * a->s.d > 1 << 13; }

void cpu_attention(cpu *d, float *o, float *lse, const float *qkv, const int32_t *starts, long n, heads s) {
	struct attention a = {.d = d, .s = s, .qkv = qkv, .out = o, .out_lse = lse, .starts = starts, .n = n};
	if (prepare(&a, 0)) team_run(d->team, worth_a_team(&a), forward_body, &a);
}

// delta_task is Σ do·o of one block.
static void delta_task(const struct attention *a, span b) {
	heads s = a->s;
	for (long i = b.first * s.a; i < (b.first + b.rows) * s.a; i++) a->delta[i] = a->d->isa->inner(a->dout + i * s.d, a->o + i * s.d, s.d);
}

// pair_task is one block of queries against one of keys, for one head:
//
//	P = exp(q·kᵀ/√D − lse)    dS = P ⊙ (do·vᵀ − δ)/√D
//	dv += Pᵀ·do    dk += dSᵀ·q    dq += dS·k
static void pair_task(const struct attention *a, long first, long qb, long kb, long head, float *p) {
	heads s = a->s;
	const isa *k = a->d->isa;
	long g = head / (s.a / s.g), w = width(s), wide = s.a * s.d;
	span q = a->blocks[qb], b = a->blocks[kb];
	float *ds = p + BLOCK * BLOCK;
	const float *query = a->qkv + q.first * w + head * s.d, *dout = a->dout + q.first * wide + head * s.d;
	long at = (kb * s.g + g) * s.d * BLOCK;
	k->block(p, BLOCK, query, w, 1, a->keys + at, BLOCK, q.rows, BLOCK, s.d, 0);
	k->block(ds, BLOCK, dout, wide, 1, a->values + at, BLOCK, q.rows, BLOCK, s.d, 0);
	for (long r = 0; r < q.rows; r++) {
		long i = (q.first + r) * s.a + head;
		k->scores_backward(p + r * BLOCK, ds + r * BLOCK, qb == kb ? r + 1 : b.rows, a->root, a->lse[i], a->delta[i]);
	}
	long to = b.first * wide + head * s.d;
	k->block(a->dv + to, wide, p, 1, BLOCK, dout, wide, b.rows, s.d, q.rows, qb > kb);
	k->block(a->dk + to, wide, ds, 1, BLOCK, query, w, b.rows, s.d, q.rows, qb > kb);
	k->block(a->dqkv + q.first * w + head * s.d, w, ds, BLOCK, 1, key(a->qkv + b.first * w, s, g), w, q.rows, s.d, b.rows, kb > first);
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

static void backward_body(team *t, int worker, void *job) {
	const struct attention *a = job;
	heads s = a->s;
	float *local = a->local + worker * a->local_floats;
	for (long i; (i = team_claim(t)) < a->count * (s.g + 1);) {
		if (i < a->count * s.g)
			transpose_task(a, i);
		else
			delta_task(a, a->blocks[i - a->count * s.g]);
	}
	team_barrier(t);
	// A head of a sequence owns its dq, and its share of dk and dv.
	for (long i; (i = team_claim(t)) < a->n * s.a;) {
		long first = 0, end;
		while (first < a->count && a->blocks[first].sequence < i / s.a) first++;
		for (end = first; end < a->count && a->blocks[end].sequence == i / s.a;) end++;
		for (long kb = first; kb < end; kb++)
			for (long qb = kb; qb < end; qb++) pair_task(a, first, qb, kb, i % s.a, local);
	}
	team_barrier(t);
	for (long i; (i = team_claim(t)) < a->count;) group_task(a, a->blocks[i]);
}

void cpu_attention_backward(cpu *d, float *dqkv, const float *dout, const float *o, const float *lse, const float *qkv, const int32_t *starts, long n, heads s) {
	struct attention a = {.d = d, .s = s, .qkv = qkv, .dout = dout, .o = o, .lse = lse, .dqkv = dqkv, .starts = starts, .n = n};
	if (prepare(&a, 1)) team_run(d->team, worth_a_team(&a), backward_body, &a);
}
