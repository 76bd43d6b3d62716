// Rotary positions, and attention over a cache for generation.
#include "attention.h"

#include <math.h>
#include <string.h>

enum { ROWS = 32 };

struct cached {
	float *qkv, *o, *k, *v, *local;
	const float *row, *table;
	const int32_t *pos, *slots, *past, *starts;
	long m, n, max, most;
	heads s;
	prefix p;
	int inverse;
};

static void rotary_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	struct cached *j = job;
	heads s = j->s;
	float sign = j->inverse ? -1 : 1;
	for (long m = i * ROWS; m < least((i + 1) * ROWS, j->m); m++) {
		const float *turn = j->table + j->pos[m] * s.rotary;
		// Queries and keys lie side by side; values stay as they are.
		for (long head = 0; head < s.a + s.g; head++) d->isa->rotary(j->qkv + m * width(s) + head * s.d, turn, s.rotary, sign);
	}
}

void cpu_rotary(cpu *d, float *qkv, const int32_t *pos, long m, const float *table, heads s, int inverse) {
	struct cached j = {.qkv = qkv, .pos = pos, .m = m, .table = table, .s = s, .inverse = inverse};
	each(d, parts(m, ROWS), m * width(s) > 1 << 14, rotary_task, &j);
}

// append_task stores the keys and values of one sequence's new rows.
static void append_task(const struct cached *j, long i) {
	heads s = j->s;
	long line = s.g * s.d;
	for (long m = j->starts[i]; m < j->starts[i + 1]; m++) {
		long at = (j->slots[i] * j->max + j->past[i] + m - j->starts[i]) * line;
		memcpy(j->k + at, key(j->row + m * width(s), s, 0), 4 * (size_t)line);
		memcpy(j->v + at, value(j->row + m * width(s), s, 0), 4 * (size_t)line);
	}
}

// attend_task is one row and one head: its scores, their softmax, the sum.
static void attend_task(const isa *k, const struct cached *j, long i, int worker) {
	heads s = j->s;
	long m = i / s.a, head = i % s.a, line = s.g * s.d, sequence = 0;
	while (m >= j->starts[sequence + 1]) sequence++;
	long at = j->slots[sequence] * j->max * line + head / (s.a / s.g) * s.d;
	long length = j->past[sequence] + m - j->starts[sequence] + 1;
	float *p = j->local + worker * j->most;
	// The prefix is first, and not in the cache.
	long fixed = j->p.n, first = head / (s.a / s.g) * s.d;
	const float *query = j->row + m * width(s) + head * s.d;
	if (fixed) k->dots(p, 0, query, 0, j->p.k + first, j->p.stride, 1, fixed, s.d, 1, 0, NULL);
	k->dots(p + fixed, 0, query, 0, j->k + at, line, 1, length, s.d, 1, 0, NULL);
	k->softmax_row(p, fixed + length, 1 / sqrtf((float)s.d));
	if (fixed) k->block(j->o + i * s.d, 0, p, 0, 1, j->p.v + first, j->p.stride, 1, s.d, fixed, 0);
	k->block(j->o + i * s.d, 0, p + fixed, 0, 1, j->v + at, line, 1, s.d, length, fixed > 0);
}

struct cached_region {
	const isa *isa;
	struct cached *job;
};

static void cached_body(team *t, int worker, void *job) {
	struct cached_region *r = job;
	for (long i; (i = team_claim(t)) < r->job->n;) append_task(r->job, i);
	team_barrier(t);
	for (long i; (i = team_claim(t)) < r->job->m * r->job->s.a;) attend_task(r->isa, r->job, i, worker);
}

void cpu_attention_cached(cpu *d, float *o, const float *qkv, float *k, float *v, long max, const int32_t *slots, const int32_t *past, const int32_t *starts, long n, heads s, prefix p) {
	struct cached j = {.p = p, .o = o, .row = qkv, .k = k, .v = v, .max = max, .slots = slots, .past = past, .starts = starts, .m = starts[n], .n = n, .s = s};
	j.most = (max + p.n + 15) / 16 * 16;
	j.local = scratch(d, PER_WORKER, 4 * (size_t)(j.most * team_workers(d->team)));
	long work = 0;
	for (long i = 0; i < n; i++) work += (starts[i + 1] - starts[i]) * (p.n + past[i] + starts[i + 1] - starts[i]) * s.a * s.d;
	if (j.local) team_run(d->team, work > 1 << 14, cached_body, &(struct cached_region){d->isa, &j});
}
