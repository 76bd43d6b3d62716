// Attention over packed sequences, backward. From the forward pass come o and lse;
// probabilities are computed again, a block of queries (rows l) against one of keys
// (rows k) at a time, for one head:
//
//	p = 2^(log₂e·(k·qᵀ/√D − lse))  dp = v·doᵀ      ds = p ⊙ (dp − Σ do·o)
//	dv += p·do                     dk += ds·q/√D   dqᵀ += kᵀ·ds/√D
//
// Five products of 2·D operations for each pair that sees each other. A worker goes
// through a sequence head by head, for each through the blocks of keys, and for each
// of those through the blocks of queries that see it: the gradients of a block of
// keys stay in its second cache, while those of the sequence's queries, and its
// queries in the four forms that products read, are the worker's own memory.
//
// The heads of a group share keys and values. Their gradients are added up in the
// order of the heads: by the worker who has them all, or, where there are so few
// sequences that each head must be a task of its own, at the end, from memory for
// each. Both give the same bits.
//
// Where a prefix has a gradient, sequences are taken together to STRIPS of them at
// most, each of which sums up a gradient of its own. So it costs no products of its
// own, and no more memory than that.
#include "attention.h"

#include <math.h>
#include <string.h>

enum { STRIPS = 8 };

struct backward {
	blocks b;
	tensor dqkv, dout, o;
	const float *lse;
	prefix dx;
	long strips;
	int grouped;    // whether a task is all heads of a group
	uint32_t *keys; // three forms for each block and group
	float *delta;   // [M,A] Σ do·o
	float *dkv;     // [spans,A,2,BLOCK,wide] of each head by itself, unless grouped
	float *dprefix; // [strips,blocks,A,2,BLOCK,wide]
	float *local;   // of each worker
	long local_floats, longest; // the latter in spans, of the sequences
};

// What a worker needs for a block of queries of one head.
typedef struct asked {
	uint32_t *q, *q_columns, *dout, *dout_columns;
	float *dq;          // [wide,BLOCK]
	float *lse, *delta; // [BLOCK], lse in log₂
} asked;

// keys_task prepares one block of keys and values for all queries: k, v and kᵀ.
static void keys_task(const struct backward *j, long i, float *spare) {
	const shape *a = &j->b.shape;
	block b = block_of(&j->b, i / a->s.g, i % a->s.g);
	places at = every(0, b.stride, b.rows);
	uint32_t *to = j->keys + i * 3 * a->words;
	keys_of(a, to, b.k, at.of, b.rows);
	keys_of(a, to + a->words, b.v, at.of, b.rows);
	if (a->f->pair > 1) values_of(a, to + 2 * a->words, spare, b.k, at.of, b.rows);
}

// delta_task is Σ do·o of one span.
static void delta_task(const struct backward *j, span r) {
	heads s = j->b.shape.s;
	for (long i = r.first * s.a; i < (r.first + r.rows) * s.a; i++)
		j->delta[i] = j->b.shape.isa->inner(skip(j->dout, i * s.d), skip(j->o, i * s.d), s.d);
}

static long asked_floats(const shape *a) { return 4 * whole_lines(a->words) + BLOCK * a->wide + 2 * BLOCK; }

static asked asked_in(const shape *a, float *memory) {
	asked q = {.dq = cut(&memory, BLOCK * a->wide)};
	q.lse = cut(&memory, BLOCK);
	q.delta = cut(&memory, BLOCK);
	q.q = (uint32_t *)(void *)cut(&memory, a->words);
	q.q_columns = (uint32_t *)(void *)cut(&memory, a->words);
	q.dout = (uint32_t *)(void *)cut(&memory, a->words);
	q.dout_columns = (uint32_t *)(void *)cut(&memory, a->words);
	return q;
}

// ask prepares a span of queries of one head.
static void ask(const struct backward *j, asked q, span r, long head, float *spare) {
	const shape *a = &j->b.shape;
	heads s = a->s;
	places in = every(r.first * width(s) + q_at(s, head), width(s), r.rows), out = every((r.first * s.a + head) * s.d, s.a * s.d, r.rows);
	a->f->right(q.q, a->wide, j->b.qkv, in.of, r.rows, BLOCK, s.d);
	a->f->right(q.dout, a->wide, j->dout, out.of, r.rows, BLOCK, s.d);
	columns_of(a, q.q_columns, spare, j->b.qkv, in.of, r.rows);
	columns_of(a, q.dout_columns, spare, j->dout, out.of, r.rows);
	memset(q.dq, 0, 4 * (size_t)(BLOCK * a->wide));
	for (long l = 0; l < BLOCK; l++) { // lanes beyond the span see nothing
		long i = (r.first + l) * s.a + head;
		q.lse[l] = l < r.rows ? j->lse[i] * (float)M_LOG2E : INFINITY;
		q.delta[l] = l < r.rows ? j->delta[i] : 0;
	}
}

// What a worker has beside its queries. Operands of floats, p, ds and down, take
// the place of what they are made of.
typedef struct workspace {
	float *scores, *dp, *p, *ds, *down; // [BLOCK,BLOCK]
	float *dkv;                         // [2,BLOCK,wide]
	float *sums, *queries;              // of each span of a sequence
} workspace;

static long workspace_floats(const shape *a) { return 5 * BLOCK * BLOCK + 2 * BLOCK * a->wide; }

static workspace workspace_in(const shape *a, float *memory, long spans) {
	workspace w = {.dkv = cut(&memory, 2 * BLOCK * a->wide)};
	float *block[5];
	for (int i = 0; i < 5; i++) block[i] = cut(&memory, BLOCK * BLOCK);
	int apart = a->f->pair > 1;
	w.scores = block[0];
	w.dp = block[1];
	w.p = block[apart ? 2 : 0];
	w.ds = block[apart ? 3 : 1];
	w.down = block[apart ? 4 : 1];
	w.sums = memory;
	w.queries = memory + spans * 2 * BLOCK * a->wide;
	return w;
}

// add_rows is c[rows,wide] (+)= p·x over lanes, the third kind of product.
static void add_rows(const shape *a, float *c, const float *p, const uint32_t *x, long rows, long lanes, long blind, int add) {
	const flash *f = a->f;
	long across = BLOCK / f->pair, skip = blind / f->pair;
	f->product(c, a->wide, (left_operand){p, across, 1}, x, a->wide, sixteens(blind ? HALF : rows), a->wide, depth(a, lanes), add);
	if (blind) f->product(c + HALF * a->wide, a->wide, (left_operand){p + HALF * across + skip, across, 1}, x + skip * a->wide, a->wide, sixteens(rows - HALF), a->wide, depth(a, lanes - blind), add);
}

// meet is a block of queries against one of keys; dkv and dq, optional, are += or,
// the former, = where it is new.
static void meet(const struct backward *j, asked q, long lanes, const uint32_t *keys, long rows, const int32_t *limit, workspace *w, float *dkv, int add, int dq) {
	const shape *a = &j->b.shape;
	const flash *f = a->f;
	long broad = f->pair == 1 ? lanes_for(a, lanes) : depth(a, lanes) * f->pair;
	const uint32_t *turned = f->pair == 1 ? keys : keys + 2 * a->words;
	long none = blind(limit, rows, broad);
	scores_of(a, w->scores, keys_in(a, keys), q.q_columns, rows, broad, none);
	scores_of(a, w->dp, keys_in(a, keys + a->words), q.dout_columns, rows, broad, none);
	f->gradient(w->p, w->ds, w->down, w->scores, w->dp, broad, rows, limit, a->scale, q.lse, q.delta);
	if (dkv) {
		add_rows(a, dkv + BLOCK * a->wide, w->p, q.dout, rows, lanes, none, add);
		add_rows(a, dkv, w->ds, q.q, rows, lanes, none, add);
	}
	if (dq) sum_over(a, q.dq, values_in(a, turned), w->down, rows, broad, none, 1);
}

// group_task adds up what the heads of one group gave a span's keys and values:
// n of them, from sums on.
static void group_task(const struct backward *j, span r, long g, const float *sums, long n) {
	const shape *a = &j->b.shape;
	heads s = a->s;
	for (long m = 0; m < r.rows; m++) {
		tensor row = skip(j->dqkv, (r.first + m) * width(s));
		const float *from = sums + m * a->wide;
		a->isa->sum_heads(skip(row, k_at(s, g)), from, n, 2 * BLOCK * a->wide, s.d, a->scale * (float)M_LN2, 0);
		a->isa->sum_heads(skip(row, v_at(s, g)), from + BLOCK * a->wide, n, 2 * BLOCK * a->wide, s.d, 1, 0);
	}
}

// sequence_part is one head of the spans from first on up to end, a sequence.
static void sequence_part(const struct backward *j, long first, long end, long head, float *dprefix, int add, workspace *w) {
	const shape *a = &j->b.shape;
	const pass *p = j->b.p;
	long g = head / a->per, n = asked_floats(a);
	int32_t limit[BLOCK];
	for (long l = 0; l < BLOCK; l++) limit[l] = (int32_t)l + 1;
	for (long l = first; l < end; l++) ask(j, asked_in(a, w->queries + (l - first) * n), p->spans[l], head, w->dkv);
	for (long k = 0; k < j->b.fixed; k++) {
		float *dkv = dprefix ? dprefix + (k * a->s.a + head) * 2 * BLOCK * a->wide : NULL;
		for (long l = first; l < end; l++)
			meet(j, asked_in(a, w->queries + (l - first) * n), p->spans[l].rows, j->keys + (k * a->s.g + g) * 3 * a->words, least(BLOCK, j->b.x.n - k * BLOCK), NULL, w, dkv, add || l > first, j->dqkv.data != NULL);
	}
	if (!j->dqkv.data) return;
	for (long k = first; k < end; k++) {
		const uint32_t *keys = j->keys + ((j->b.fixed + k) * a->s.g + g) * 3 * a->words;
		long each = 2 * BLOCK * a->wide;
		float *sum = j->grouped ? w->sums + (k - first) * each : j->dkv + (k * a->s.a + head) * each;
		int more = j->grouped && head % a->per > 0; // heads that others came before
		for (long l = k; l < end; l++)
			meet(j, asked_in(a, w->queries + (l - first) * n), p->spans[l].rows, keys, p->spans[k].rows, l == k ? limit : NULL, w, more ? w->dkv : sum, l > k, 1);
		if (more) a->isa->axpy(sum, 1, w->dkv, each);
	}
	for (long l = first; l < end; l++) {
		span r = p->spans[l];
		places at = every(r.first * width(a->s) + q_at(a->s, head), width(a->s), r.rows);
		float factor[BLOCK];
		for (long i = 0; i < BLOCK; i++) factor[i] = a->scale * (float)M_LN2;
		a->isa->rows_out(j->dqkv, at.of, asked_in(a, w->queries + (l - first) * n).dq, factor, r.rows, a->s.d);
	}
}

// strip_of is the strip that a span's sequence belongs to.
static long strip_of(const struct backward *j, long span) {
	const pass *p = j->b.p;
	long sequence = p->spans[span].sequence;
	return j->strips == p->s ? sequence : p->cu_seqlens[sequence] * j->strips / p->m;
}

// strip_task is n heads of a strip, all of one group.
static void strip_task(const struct backward *j, long strip, long head, long n, workspace *w) {
	const shape *a = &j->b.shape;
	const pass *p = j->b.p;
	long each = j->b.fixed * a->s.a * 2 * BLOCK * a->wide, l = 0;
	float *dprefix = j->dx.n ? j->dprefix + strip * each : NULL;
	int add = 0;
	while (l < p->span_count && strip_of(j, l) < strip) l++;
	for (long end; l < p->span_count && strip_of(j, l) == strip; l = end, add = 1) {
		for (end = l + 1; end < p->span_count && p->spans[end].sequence == p->spans[l].sequence;) end++;
		for (long h = head; h < head + n; h++) sequence_part(j, l, end, h, dprefix, add, w);
		for (long k = l; j->grouped && j->dqkv.data && k < end; k++) group_task(j, p->spans[k], head / a->per, w->sums + (k - l) * 2 * BLOCK * a->wide, 1);
	}
	for (long k = 0; dprefix && !add && k < j->b.fixed; k++) memset(dprefix + (k * a->s.a + head) * 2 * BLOCK * a->wide, 0, 4 * (size_t)(n * 2 * BLOCK * a->wide));
}

// prefix_task adds to the prefix's gradient what heads and strips gave one row of it.
static void prefix_task(const struct backward *j, long n) {
	const shape *a = &j->b.shape;
	heads s = a->s;
	long each = 2 * BLOCK * a->wide;
	for (long strip = 0; strip < j->strips; strip++)
		for (long g = 0; g < s.g; g++) {
			const float *from = j->dprefix + ((strip * j->b.fixed + n / BLOCK) * s.a + g * a->per) * each + n % BLOCK * a->wide;
			tensor k = {F32, j->dx.k + n * j->dx.stride + g * s.d}, v = {F32, j->dx.v + n * j->dx.stride + g * s.d};
			a->isa->sum_heads(k, from, a->per, each, s.d, a->scale * (float)M_LN2, 1);
			a->isa->sum_heads(v, from + BLOCK * a->wide, a->per, each, s.d, 1, 1);
		}
}

static void backward_body(team *t, int worker, void *job) {
	const struct backward *j = job;
	const shape *a = &j->b.shape;
	const pass *p = j->b.p;
	workspace w = workspace_in(a, j->local + worker * j->local_floats, j->grouped ? j->longest : 0);
	long packed = j->b.all * a->s.g;
	for (long i; (i = team_claim(t)) < packed + p->span_count;) {
		if (i < packed)
			keys_task(j, i, w.dkv);
		else
			delta_task(j, p->spans[i - packed]);
	}
	team_barrier(t);
	if (a->f->begin) a->f->begin();
	long each = j->grouped ? a->per : 1, parts = a->s.a / each;
	for (long i; (i = team_claim(t)) < j->strips * parts;) strip_task(j, i / parts, i % parts * each, each, &w);
	if (a->f->end) a->f->end();
	team_barrier(t);
	long grouped = j->grouped || !j->dqkv.data ? 0 : p->span_count * a->s.g;
	for (long i; (i = team_claim(t)) < grouped + j->dx.n;) {
		if (i < grouped)
			group_task(j, p->spans[i / a->s.g], i % a->s.g, j->dkv + i * a->per * 2 * BLOCK * a->wide, a->per);
		else
			prefix_task(j, i - grouped);
	}
}

// lay_out takes memory for a way of cutting the work into tasks.
static int lay_out(cpu *d, struct backward *j, int grouped) {
	const shape *a = &j->b.shape;
	const pass *p = j->b.p;
	long g = a->s.g, heads = a->s.a, each = 2 * BLOCK * a->wide;
	long keys = j->b.all * g * 3 * a->words, delta = p->m * heads, dkv = grouped || !j->dqkv.data ? 0 : p->span_count * heads * each;
	long dprefix = j->dx.n ? j->strips * j->b.fixed * heads * each : 0;
	j->grouped = grouped;
	j->longest = parts(p->longest, BLOCK);
	j->local_floats = workspace_floats(a) + j->longest * (asked_floats(a) + (grouped ? each : 0));
	float *memory = scratch(d, ATTENTION, 4 * (size_t)(whole_lines(keys) + whole_lines(delta) + dkv + dprefix + team_workers(d->team) * j->local_floats));
	if (!memory) return 0;
	j->keys = (uint32_t *)(void *)cut(&memory, keys);
	j->delta = cut(&memory, delta);
	j->dkv = cut(&memory, dkv);
	j->dprefix = cut(&memory, dprefix);
	j->local = memory;
	return 1;
}

void cpu_attention_backward(cpu *d, tensor dqkv, tensor dout, tensor o, const float *lse, tensor qkv, const pass *p, heads s, prefix x, prefix dx) {
	struct backward j = {.b = blocks_of(d, p, qkv, s, x), .dqkv = dqkv, .dout = dout, .o = o, .lse = lse, .dx = dx};
	j.strips = dx.n ? least(p->s, STRIPS) : p->s;
	int grouped = j.strips * s.g >= 4 * team_workers(d->team);
	if (d->rehearsing) lay_out(d, &j, !grouped); // there may be fewer sequences
	if (lay_out(d, &j, grouped)) region(d, p->m * s.a * s.d > 1 << 13, backward_body, &j);
}
