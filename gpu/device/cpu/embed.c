// Operators that find their rows by numbers: embedding, gathering, and their
// backward passes, which are one and the same.
#include "kernels.h"

#include <string.h>

enum {
	ROWS = 32,    // of a task
	PIECE = 1024, // numbers of a narrow row that are widened at a time
	WORTH_A_TEAM = 1 << 14, // numbers
};

struct embed {
	tensor y;
	const matrix *table;
	const int32_t *ids;
	long m, h;
};

// embed_row writes a row of the table to y.
static void embed_row(const isa *isa, tensor y, const matrix *t, long id, long h) {
	const char *row = (const char *)t->data + id * row_bytes(t->format, h);
	const float *scales = t->scales + id * row_scales(t->format, h);
	if (t->format == y.format) {
		memcpy(y.data, row, (size_t)row_bytes(t->format, h));
	} else if (t->format == F32) {
		isa->convert(y, (tensor){F32, (void *)(uintptr_t)row}, h);
	} else if (y.format == F32) {
		isa->decode(t->format, y.data, row, scales, 0, h);
	} else {
		float wide[PIECE];
		for (long i = 0; i < h; i += PIECE) {
			isa->decode(t->format, wide, row, scales, i, least(PIECE, h - i));
			isa->convert(skip(y, i), (tensor){F32, wide}, least(PIECE, h - i));
		}
	}
}

static void embed_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	const struct embed *j = job;
	for (long m = i * ROWS; m < least((i + 1) * ROWS, j->m); m++) embed_row(d->isa, skip(j->y, m * j->h), j->table, j->ids[m], j->h);
}

void cpu_embed(cpu *d, tensor y, const matrix *table, const pass *p, long h) {
	struct embed j = {.y = y, .table = table, .ids = p->ids, .m = p->m, .h = h};
	each(d, parts(p->m, ROWS), p->m * h >= WORTH_A_TEAM, embed_task, &j);
}

struct gather {
	tensor y, x;
	const int32_t *rows;
	long n, h;
};

static void gather_task(cpu *d, long i, int worker, void *job) {
	(void)d, (void)worker;
	const struct gather *j = job;
	for (long n = i * ROWS; n < least((i + 1) * ROWS, j->n); n++)
		memcpy(skip(j->y, n * j->h).data, skip(j->x, j->rows[n] * j->h).data, (size_t)(j->h * number_bytes(j->x.format)));
}

void cpu_gather(cpu *d, tensor y, tensor x, const pass *p, long h) {
	struct gather j = {.y = y, .x = x, .rows = p->rows, .n = p->n, .h = h};
	each(d, parts(p->n, ROWS), p->n * h >= WORTH_A_TEAM, gather_task, &j);
}

// A scatter adds rows of x to the rows of y that `to` names, in their order. The
// order lists the rows of x by where they go, so that those of one row of y follow
// each other and are added by one task.
struct scatter {
	tensor y, x;
	const int32_t *to, *order;
	long n, h;
};

// scatter_task is for the rows of y that begin within its part of the order.
static void scatter_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	const struct scatter *j = job;
	long first = i * ROWS, end = least(first + ROWS, j->n);
	while (first < end && first > 0 && j->to[j->order[first]] == j->to[j->order[first - 1]]) first++;
	while (first < end) {
		long row = j->to[j->order[first]], last = first + 1;
		while (last < j->n && j->to[j->order[last]] == row) last++;
		d->isa->sum_rows(skip(j->y, row * j->h), j->x, j->order + first, last - first, j->h);
		first = last;
	}
}

static void scatter(cpu *d, struct scatter *j) { each(d, parts(j->n, ROWS), j->n * j->h >= WORTH_A_TEAM, scatter_task, j); }

void cpu_embed_backward(cpu *d, tensor dtable, tensor dy, const pass *p, long h) {
	scatter(d, &(struct scatter){.y = dtable, .x = dy, .to = p->ids, .order = p->by_id, .n = p->m, .h = h});
}

void cpu_gather_backward(cpu *d, tensor dx, tensor dy, const pass *p, long h) {
	scatter(d, &(struct scatter){.y = dx, .x = dy, .to = p->rows, .order = p->by_row, .n = p->n, .h = h});
}
