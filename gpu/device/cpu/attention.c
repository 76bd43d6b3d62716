// Attention over packed sequences, forward: a block of queries of one head is a
// task, and goes through the blocks of keys before it. attention.h has the ladder.
//
// A prefix is cut into blocks as well. They stand before those of the pack, and
// every query reads all of them.
#include "attention.h"

#include <math.h>

shape shape_of(const cpu *d, heads s) {
	const flash *f = d->bf16 && d->isa->pairs.pair ? &d->isa->pairs : &d->isa->singles;
	long wide = parts(s.d, 16 * f->pair) * 16 * f->pair;
	return (shape){.isa = d->isa, .f = f, .s = s, .per = s.a / s.g, .wide = wide, .words = BLOCK * wide / f->pair, .scale = (float)M_LOG2E / sqrtf((float)s.d)};
}

long queries_floats(const shape *a) { return whole_lines(a->words) + BLOCK * a->wide + 3 * BLOCK + BLOCK * BLOCK; }

queries queries_in(const shape *a, float *memory) {
	queries q = {.q = (uint32_t *)(void *)cut(&memory, a->words)};
	q.o = cut(&memory, BLOCK * a->wide);
	q.top = cut(&memory, BLOCK);
	q.sum = cut(&memory, BLOCK);
	q.keep = cut(&memory, BLOCK);
	q.scores = cut(&memory, BLOCK * BLOCK);
	return q;
}

void queries_begin(queries *q) {
	q->seen = 0;
	for (long l = 0; l < BLOCK; l++) {
		q->top[l] = -INFINITY;
		q->sum[l] = 0;
	}
}

void scores_of(const shape *a, float *scores, left_operand keys, const uint32_t *columns, long rows, long lanes, long blind) {
	const flash *f = a->f;
	long words = a->wide / f->pair, first = blind ? HALF : rows;
	f->product(scores, BLOCK, keys, columns, BLOCK, sixteens(first), lanes, words, 0);
	if (!blind) return;
	keys.at = (const uint32_t *)keys.at + HALF * keys.row;
	f->product(scores + HALF * BLOCK + blind, BLOCK, keys, columns + blind, BLOCK, sixteens(rows - HALF), lanes - blind, words, 0);
}

void sum_over(const shape *a, float *sums, left_operand values, const float *p, long rows, long lanes, long blind, int add) {
	const flash *f = a->f;
	long half = HALF / f->pair;
	f->product(sums, BLOCK, values, p, BLOCK, a->wide, lanes, depth(a, blind ? HALF : rows), add);
	if (!blind) return;
	values.at = (const uint32_t *)values.at + half * values.k;
	f->product(sums + blind, BLOCK, values, p + half * BLOCK + blind, BLOCK, a->wide, lanes - blind, depth(a, rows - HALF), 1);
}

void queries_see(const shape *a, queries *q, left_operand keys, left_operand values, long rows, const int32_t *limit) {
	long lanes = lanes_for(a, q->lanes), none = blind(limit, rows, lanes);
	scores_of(a, q->scores, keys, q->q, rows, lanes, none);
	// The probabilities take the place of their scores.
	if (a->f->softmax(q->scores, q->scores, lanes, rows, limit, a->scale, q->top, q->sum, q->keep) && q->seen)
		a->isa->scale_lanes(q->o, q->keep, a->wide, lanes);
	sum_over(a, q->o, values, q->scores, rows, lanes, none, q->seen);
	q->seen = 1;
}

void queries_answer(const shape *a, const queries *q, tensor o, const long *at) {
	for (long l = 0; l < BLOCK; l++) q->keep[l] = 1 / q->sum[l];
	a->isa->rows_out(o, at, q->o, q->keep, q->lanes, a->s.d);
}

void columns_of(const shape *a, void *to, void *spare, tensor x, const long *at, long rows) {
	long padded = parts(rows, 32) * 32, words = a->wide / a->f->pair;
	a->f->left(spare, a->wide, x, at, rows, padded, a->s.d);
	a->isa->turn(to, BLOCK, spare, words, padded, words);
}

void keys_of(const shape *a, void *to, tensor x, const long *at, long rows) { a->f->left(to, a->wide, x, at, rows, BLOCK, a->s.d); }

void values_of(const shape *a, void *to, void *spare, tensor x, const long *at, long rows) {
	long pair = a->f->pair;
	if (pair == 1) {
		keys_of(a, to, x, at, rows);
		return;
	}
	a->f->right(spare, a->wide, x, at, rows, BLOCK, a->s.d);
	a->isa->turn(to, BLOCK / pair, spare, a->wide, BLOCK / pair, a->wide);
}

blocks blocks_of(const cpu *d, const pass *p, tensor qkv, heads s, prefix x) {
	long fixed = parts(x.n, BLOCK);
	return (blocks){shape_of(d, s), p, qkv, x, fixed, fixed + p->span_count};
}

block prefix_block(prefix x, heads s, long i, long g) {
	long at = i * BLOCK * x.stride + g * s.d;
	return (block){{F32, x.k + at}, {F32, x.v + at}, x.stride, least(BLOCK, x.n - i * BLOCK)};
}

block block_of(const blocks *b, long i, long g) {
	heads s = b->shape.s;
	if (i < b->fixed) return prefix_block(b->x, s, i, g);
	span r = b->p->spans[i - b->fixed];
	tensor row = skip(b->qkv, r.first * width(s));
	return (block){skip(row, k_at(s, g)), skip(row, v_at(s, g)), width(s), r.rows};
}

struct forward {
	blocks b;
	tensor o;
	float *lse;
	uint32_t *keys; // and values, of each block and group
	float *local;   // of each worker
	long local_floats;
};

// pack_task prepares one block of keys and values for all queries.
static void pack_task(const struct forward *j, long i, float *spare) {
	const shape *a = &j->b.shape;
	block b = block_of(&j->b, i / a->s.g, i % a->s.g);
	places at = every(0, b.stride, b.rows);
	uint32_t *to = j->keys + i * 2 * a->words;
	keys_of(a, to, b.k, at.of, b.rows);
	values_of(a, to + a->words, spare, b.v, at.of, b.rows);
}

// forward_task is one head of one span of queries.
static void forward_task(const struct forward *j, long i, queries *q) {
	const shape *a = &j->b.shape;
	heads s = a->s;
	long head = i % s.a, g = head / a->per, own = i / s.a;
	span r = j->b.p->spans[own];
	places at = every(r.first * width(s) + q_at(s, head), width(s), r.rows);
	int32_t limit[BLOCK];
	for (long l = 0; l < BLOCK; l++) limit[l] = (int32_t)l + 1;
	q->lanes = r.rows;
	queries_begin(q);
	columns_of(a, q->q, q->o, j->b.qkv, at.of, r.rows);
	for (long k = 0; k < j->b.fixed + own + 1; k++) {
		if (k == j->b.fixed) k += first_span(j->b.p, own);
		const uint32_t *keys = j->keys + (k * s.g + g) * 2 * a->words;
		queries_see(a, q, keys_in(a, keys), values_in(a, keys + a->words), block_of(&j->b, k, g).rows, k == j->b.fixed + own ? limit : NULL);
	}
	at = every(r.first * s.a * s.d + head * s.d, s.a * s.d, r.rows);
	queries_answer(a, q, j->o, at.of);
	for (long l = 0; l < r.rows; l++) j->lse[(r.first + l) * s.a + head] = (q->top[l] + log2f(q->sum[l])) * (float)M_LN2;
}

static void forward_body(team *t, int worker, void *job) {
	const struct forward *j = job;
	const shape *a = &j->b.shape;
	float *local = j->local + worker * j->local_floats;
	for (long i; (i = team_claim(t)) < j->b.all * a->s.g;) pack_task(j, i, local);
	team_barrier(t);
	// The last span of a sequence has the most keys: begin at the end.
	queries q = queries_in(a, local);
	long tasks = j->b.p->span_count * a->s.a;
	if (a->f->begin) a->f->begin();
	for (long i; (i = team_claim(t)) < tasks;) forward_task(j, tasks - 1 - i, &q);
	if (a->f->end) a->f->end();
}

void cpu_attention(cpu *d, tensor o, float *lse, tensor qkv, const pass *p, heads s, prefix x) {
	struct forward j = {.b = blocks_of(d, p, qkv, s, x), .o = o, .lse = lse};
	const shape *a = &j.b.shape;
	long keys = j.b.all * s.g * 2 * a->words;
	j.local_floats = queries_floats(a);
	float *memory = scratch(d, ATTENTION, 4 * (size_t)(whole_lines(keys) + team_workers(d->team) * j.local_floats));
	if (!memory) return;
	j.keys = (uint32_t *)(void *)cut(&memory, keys);
	j.local = memory;
	region(d, p->m * s.a * s.d > 1 << 13, forward_body, &j);
}
