// Attention over a cache, for generation. A page is a block of keys, and the lanes
// are rows and heads of one group together, rows first: a row alone, in decoding,
// has all heads of its group in one block and reads each page once; sixteen heads
// take four rows of a prompt at a time. A step of decoding reads 2·G·D numbers a
// position and sequence, and with bfloat16 or few heads waits for nothing else.
//
// Pages are taken RUN at a time: a run is a softmax of its own, and the runs are
// merged in their order, by the worker who has them all or, where there are fewer
// blocks of lanes than workers, at the end. A lane's result depends on nothing but
// its keys, so a prompt gives the same bits whole, in parts and row by row, and
// beside any other sequences.
//
// Sequences with more than one block of lanes a group have their pages prepared
// once, for all blocks; the others prepare them as they read.
#include "attention.h"

#include <math.h>
#include <string.h>

enum { RUN = 8, WAVE = 64 }; // pages

struct cached {
	shape a;
	const pass *p;
	prefix x;
	tensor qkv, o, k, v;
	long fixed; // blocks of the prefix
	uint32_t *prefix;  // prepared blocks
	uint32_t *pages;   // prepared pages of a wave
	float *partial;    // of each run of a few lanes, where runs are tasks
	float *local;      // of each worker
	long local_floats;
	int split;
};

// A sequence is what there is of one.
typedef struct sequence { long first, rows, past, lanes, pages; const int32_t *page; } sequence;

static sequence sequence_of(const struct cached *j, long i) {
	const pass *p = j->p;
	sequence s = {.first = p->cu_seqlens[i], .past = p->past[i], .page = p->page + i * p->pages};
	s.rows = p->cu_seqlens[i + 1] - s.first;
	s.lanes = s.rows * j->a.per;
	s.pages = s.rows ? parts(s.past + s.rows, BLOCK) : 0;
	return s;
}

static int few(sequence s) { return s.lanes <= BLOCK; }

// append_task stores the keys and values of one span's rows.
static void append_task(const struct cached *j, span r) {
	heads s = j->a.s;
	sequence q = sequence_of(j, r.sequence);
	long line = s.g * s.d;
	for (long m = r.first; m < r.first + r.rows; m++) {
		long position = q.past + m - q.first, at = (q.page[position / BLOCK] * (long)BLOCK + position % BLOCK) * line;
		tensor row = skip(j->qkv, m * width(s));
		j->a.isa->convert(skip(j->k, at), skip(row, k_at(s, 0)), line);
		j->a.isa->convert(skip(j->v, at), skip(row, v_at(s, 0)), line);
	}
}

static void prepare(const shape *a, uint32_t *to, void *spare, block b) {
	places at = every(0, b.stride, b.rows);
	keys_of(a, to, b.k, at.of, b.rows);
	values_of(a, to + a->words, spare, b.v, at.of, b.rows);
}

// page_of is page i of a sequence: keys and values of one group.
static block page_of(const struct cached *j, sequence q, long i, long g) {
	heads s = j->a.s;
	long line = s.g * s.d, at = q.page[i] * BLOCK * line + g * s.d;
	return (block){skip(j->k, at), skip(j->v, at), line, least(BLOCK, q.past + q.rows - i * BLOCK)};
}

// A worker's memory: queries, the sums of the runs so far, and a page.
typedef struct workspace {
	queries q;
	float *o, *top, *sum; // as those of queries
	uint32_t *page;
	float *spare;
} workspace;

static long workspace_floats(const shape *a) { return queries_floats(a) + 2 * BLOCK * a->wide + 2 * BLOCK + whole_lines(2 * a->words); }

static workspace workspace_in(const shape *a, float *memory) {
	workspace w = {.q = queries_in(a, memory)};
	memory += queries_floats(a);
	w.o = cut(&memory, BLOCK * a->wide);
	w.top = cut(&memory, BLOCK);
	w.sum = cut(&memory, BLOCK);
	w.page = (uint32_t *)(void *)cut(&memory, 2 * a->words);
	w.spare = memory;
	return w;
}

// lanes_of begins block b of the lanes of a group: their queries, the places of
// their outputs, and how many positions each sees.
static void lanes_of(const struct cached *j, sequence q, long g, long b, workspace *w, places *out, int32_t *seen) {
	const shape *a = &j->a;
	heads s = a->s;
	places in = {{0}};
	w->q.lanes = least(BLOCK, q.lanes - b * BLOCK);
	for (long l = 0; l < BLOCK; l++) {
		long lane = b * BLOCK + least(l, w->q.lanes - 1), row = lane / a->per, head = g * a->per + lane % a->per;
		in.of[l] = (q.first + row) * width(s) + q_at(s, head);
		out->of[l] = ((q.first + row) * s.a + head) * s.d;
		seen[l] = (int32_t)(q.past + row + 1);
	}
	columns_of(a, w->q.q, w->q.o, j->qkv, in.of, w->q.lanes);
}

// read_page prepares a page, but for keys that are an operand as they lie. Values
// are read down their columns: those are copied where they lie close together.
static void read_page(const shape *a, block b, workspace *w, left_operand *keys) {
	places at = every(0, b.stride, b.rows);
	long pair = a->f->pair;
	if (number_bytes(b.k.format) * pair == 4 && a->s.d == a->wide && b.stride % pair == 0)
		*keys = (left_operand){b.k.data, b.stride / pair, 1};
	else
		keys_of(a, w->page, b.k, at.of, b.rows);
	values_of(a, w->page + a->words, w->spare, b.v, at.of, b.rows);
}

// see_run has the lanes see one run of pages, the first of them the prefix, too.
// ready are the prepared pages, NULL without any.
static void see_run(const struct cached *j, sequence q, long g, long run, const uint32_t *ready, const int32_t *seen, workspace *w) {
	const shape *a = &j->a;
	queries_begin(&w->q);
	for (long i = 0; run == 0 && i < j->fixed; i++) {
		const uint32_t *keys = j->prefix + (i * a->s.g + g) * 2 * a->words;
		queries_see(a, &w->q, keys_in(a, keys), values_in(a, keys + a->words), least(BLOCK, j->x.n - i * BLOCK), NULL);
	}
	long last = seen[w->q.lanes - 1];
	for (long i = run * RUN; i < (run + 1) * RUN && i * BLOCK < last; i++) {
		const uint32_t *at = ready ? ready + (i * a->s.g + g) * 2 * a->words : w->page;
		left_operand keys = keys_in(a, at), values = values_in(a, at + a->words);
		block b = page_of(j, q, i, g);
		if (!ready) read_page(a, b, w, &keys);
		int32_t limit[BLOCK];
		for (long l = 0; l < BLOCK; l++) limit[l] = seen[l] - (int32_t)(i * BLOCK);
		queries_see(a, &w->q, keys, values, least(b.rows, last - i * BLOCK), limit[0] < BLOCK ? limit : NULL);
	}
}

static long runs(long positions) { return parts(positions, RUN * BLOCK); }

// add adds a run to the ones before it.
static void add(const shape *a, workspace *w, const float *o, const float *top, const float *sum) {
	a->isa->merge(w->o, w->top, w->sum, o, top, sum, a->wide, lanes_for(a, w->q.lanes));
}

static void swap(float **x, float **y) {
	float *t = *x;
	*x = *y;
	*y = t;
}

static void exchange(workspace *w) {
	swap(&w->o, &w->q.o);
	swap(&w->top, &w->q.top);
	swap(&w->sum, &w->q.sum);
}

// attend_task is block b of the lanes of a group, all runs.
static void attend_task(const struct cached *j, sequence q, long g, long b, const uint32_t *ready, workspace *w) {
	const shape *a = &j->a;
	places out;
	int32_t seen[BLOCK];
	lanes_of(j, q, g, b, w, &out, seen);
	for (long run = 0; run < runs(seen[w->q.lanes - 1]); run++) {
		see_run(j, q, g, run, ready, seen, w);
		if (run > 0)
			add(a, w, w->q.o, w->q.top, w->q.sum);
		else
			exchange(w);
	}
	exchange(w);
	queries_answer(a, &w->q, j->o, out.of);
}

// Runs of their own leave o, top and sum for the end.
static long partial_floats(const shape *a) { return BLOCK * a->wide + 2 * BLOCK; }
static float *partial_of(const struct cached *j, long sequence, long g, long run) {
	return j->partial + ((sequence * j->a.s.g + g) * runs(j->p->pages * BLOCK) + run) * partial_floats(&j->a);
}

static void run_task(const struct cached *j, long sequence, long g, long run, workspace *w) {
	const shape *a = &j->a;
	places out;
	int32_t seen[BLOCK];
	float *to = partial_of(j, sequence, g, run);
	struct sequence q = sequence_of(j, sequence);
	lanes_of(j, q, g, 0, w, &out, seen);
	see_run(j, q, g, run, NULL, seen, w);
	memcpy(to, w->q.o, 4 * (size_t)(BLOCK * a->wide));
	memcpy(to + BLOCK * a->wide, w->q.top, 4 * BLOCK);
	memcpy(to + BLOCK * a->wide + BLOCK, w->q.sum, 4 * BLOCK);
}

static void merge_task(const struct cached *j, long sequence, long g, workspace *w) {
	const shape *a = &j->a;
	places out;
	int32_t seen[BLOCK];
	struct sequence q = sequence_of(j, sequence);
	lanes_of(j, q, g, 0, w, &out, seen);
	for (long run = 0; run < runs(q.past + q.rows); run++) {
		const float *from = partial_of(j, sequence, g, run), *top = from + BLOCK * a->wide, *sum = top + BLOCK;
		if (run > 0) {
			add(a, w, from, top, sum);
			continue;
		}
		memcpy(w->o, from, 4 * (size_t)(BLOCK * a->wide));
		memcpy(w->top, top, 4 * BLOCK);
		memcpy(w->sum, sum, 4 * BLOCK);
	}
	exchange(w);
	queries_answer(a, &w->q, j->o, out.of);
}

// few_tasks are the sequences with one block of lanes a group.
static void few_tasks(team *t, const struct cached *j, workspace *w) {
	long g = j->a.s.g, each = j->split ? runs(j->p->pages * BLOCK) : 1;
	for (long i; (i = team_claim(t)) < j->p->s * g * each;) {
		long n = i / each / g, run = i % each;
		sequence q = sequence_of(j, n);
		if (!few(q) || !q.rows || run >= runs(q.past + q.rows)) continue;
		if (j->split)
			run_task(j, n, i / each % g, run, w);
		else
			attend_task(j, q, i / each % g, 0, NULL, w);
	}
	if (!j->split) return;
	team_barrier(t);
	for (long i; (i = team_claim(t)) < j->p->s * g;) {
		sequence q = sequence_of(j, i / g);
		if (few(q) && q.rows) merge_task(j, i / g, i % g, w);
	}
}

// A wave is sequences from first on up to end, of which those with many lanes have
// no more pages than there is room for.
typedef struct wave { long first, end, pages, blocks; } wave;

static long room(const struct cached *j) { return j->p->pages > WAVE ? j->p->pages : WAVE; }

static wave next_wave(const struct cached *j, long first) {
	wave v = {first, first, 0, 0};
	for (; v.end < j->p->s; v.end++) {
		sequence q = sequence_of(j, v.end);
		if (few(q)) continue;
		if (v.pages + q.pages > room(j)) break;
		v.pages += q.pages;
		v.blocks += parts(q.lanes, BLOCK);
	}
	return v;
}

static void wave_tasks(team *t, const struct cached *j, wave v, workspace *w) {
	const shape *a = &j->a;
	long g = a->s.g;
	for (long i; (i = team_claim(t)) < v.pages * g;) {
		long page = i / g, n = v.first;
		sequence q;
		while (q = sequence_of(j, n), few(q) || page >= q.pages) {
			if (!few(q)) page -= q.pages;
			n++;
		}
		prepare(a, j->pages + i * 2 * a->words, w->spare, page_of(j, q, page, i % g));
	}
	team_barrier(t);
	// The last lanes see most: begin at the end.
	for (long i; (i = team_claim(t)) < v.blocks * g;) {
		long b = v.blocks - 1 - i / g, n = v.first, before = 0;
		sequence q;
		while (q = sequence_of(j, n), few(q) || b >= parts(q.lanes, BLOCK)) {
			if (!few(q)) {
				b -= parts(q.lanes, BLOCK);
				before += q.pages;
			}
			n++;
		}
		attend_task(j, q, i % g, b, j->pages + before * g * 2 * a->words, w);
	}
}

static void cached_body(team *t, int worker, void *job) {
	const struct cached *j = job;
	const shape *a = &j->a;
	workspace w = workspace_in(a, j->local + worker * j->local_floats);
	long prefix = j->fixed * a->s.g;
	for (long i; (i = team_claim(t)) < prefix + j->p->span_count;) {
		if (i < prefix)
			prepare(a, j->prefix + i * 2 * a->words, w.spare, prefix_block(j->x, a->s, i / a->s.g, i % a->s.g));
		else
			append_task(j, j->p->spans[i - prefix]);
	}
	team_barrier(t);
	if (a->f->begin) a->f->begin();
	few_tasks(t, j, &w);
	for (wave v = next_wave(j, 0); v.blocks; v = next_wave(j, v.end)) {
		team_barrier(t);
		wave_tasks(t, j, v, &w);
	}
	if (a->f->end) a->f->end();
}

void cpu_attention_cached(cpu *d, tensor o, tensor qkv, tensor k, tensor v, const pass *p, heads s, prefix x) {
	struct cached j = {.a = shape_of(d, s), .p = p, .x = x, .qkv = qkv, .o = o, .k = k, .v = v, .fixed = parts(x.n, BLOCK)};
	const shape *a = &j.a;
	long workers = team_workers(d->team), most = runs(p->pages * BLOCK), blocks = p->s * s.g;
	j.split = most > 1 && blocks < workers;
	j.local_floats = workspace_floats(a);
	int many = p->longest * a->per > BLOCK;
	// In a rehearsal there may be fewer sequences than the pass says.
	long partial = j.split ? blocks : d->rehearsing && most > 1 ? least(blocks, workers - 1) : 0;
	long prefix = j.fixed * s.g * 2 * a->words, pages = many ? room(&j) * s.g * 2 * a->words : 0;
	float *memory = scratch(d, ATTENTION, 4 * (size_t)(prefix + pages + partial * most * partial_floats(a) + workers * j.local_floats));
	if (!memory) return;
	j.prefix = (uint32_t *)(void *)cut(&memory, prefix);
	j.pages = (uint32_t *)(void *)cut(&memory, pages);
	j.partial = cut(&memory, partial * most * partial_floats(a));
	j.local = memory;
	region(d, p->m > 1 || p->pages > 1, cached_body, &j);
}
