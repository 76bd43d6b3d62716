// Attention over a cache for generation.
#include "attention.h"

#include <math.h>
#include <string.h>

enum { PAGE = 64 }; // positions

struct cached {
	cpu *d;
	float *o, *k, *v, *local;
	const float *row;
	const pass *pass;
	long most;
	heads s;
	prefix p;
};

// place is where a sequence's keys or values of a position are.
static long place(const struct cached *j, long sequence, long position) {
	return (j->pass->page[sequence * j->pass->pages + position / PAGE] * (long)PAGE + position % PAGE) * j->s.g * j->s.d;
}

// append_task stores the keys and values of one sequence's new rows.
static void append_task(const struct cached *j, long i) {
	heads s = j->s;
	long line = s.g * s.d;
	const int32_t *starts = j->pass->cu_seqlens;
	for (long m = starts[i]; m < starts[i + 1]; m++) {
		long at = place(j, i, j->pass->past[i] + m - starts[i]);
		memcpy(j->k + at, key(j->row + m * width(s), s, 0), 4 * (size_t)line);
		memcpy(j->v + at, value(j->row + m * width(s), s, 0), 4 * (size_t)line);
	}
}

// attend_task is one row and one head: its scores, their softmax, the sum.
static void attend_task(const struct cached *j, long i, int worker) {
	heads s = j->s;
	const isa *k = j->d->isa;
	const int32_t *starts = j->pass->cu_seqlens;
	long m = i / s.a, head = i % s.a, line = s.g * s.d, sequence = 0;
	while (m >= starts[sequence + 1]) sequence++;
	long length = j->pass->past[sequence] + m - starts[sequence] + 1;
	float *p = j->local + worker * j->most;
	// The prefix is first, and not in the cache.
	long fixed = j->p.n, first = head / (s.a / s.g) * s.d;
	const float *query = j->row + m * width(s) + head * s.d;
	if (fixed) k->dots(p, 0, query, 0, j->p.k + first, j->p.stride, 1, fixed, s.d, 1, 0, NULL);
	for (long t = 0; t < length; t += PAGE)
		k->dots(p + fixed + t, 0, query, 0, j->k + place(j, sequence, t) + first, line, 1, least(PAGE, length - t), s.d, 1, 0, NULL);
	k->softmax_row(p, fixed + length, 1 / sqrtf((float)s.d));
	if (fixed) k->block(j->o + i * s.d, 0, p, 0, 1, j->p.v + first, j->p.stride, 1, s.d, fixed, 0);
	for (long t = 0; t < length; t += PAGE)
		k->block(j->o + i * s.d, 0, p + fixed + t, 0, 1, j->v + place(j, sequence, t) + first, line, 1, s.d, least(PAGE, length - t), fixed + t > 0);
}

static void cached_body(team *t, int worker, void *job) {
	struct cached *j = job;
	for (long i; (i = team_claim(t)) < j->pass->s;) append_task(j, i);
	team_barrier(t);
	for (long i; (i = team_claim(t)) < j->pass->m * j->s.a;) attend_task(j, i, worker);
}

void cpu_attention_cached(cpu *d, float *o, const float *qkv, float *k, float *v, const pass *pass, heads s, prefix p) {
	struct cached j = {.d = d, .p = p, .o = o, .row = qkv, .k = k, .v = v, .pass = pass, .s = s};
	j.most = (pass->pages * PAGE + p.n + 15) / 16 * 16;
	j.local = scratch(d, PER_WORKER, 4 * (size_t)(j.most * team_workers(d->team)));
	if (j.local) region(d, 1, cached_body, &j);
}
