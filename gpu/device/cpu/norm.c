// Operators that work row by row.
#include "kernels.h"

#include <string.h>

enum {
	ROWS = 32,    // of a task
	SUMMED = 128, // rows whose weight gradients are summed before they are added up
	COLUMNS = 64,
	WORTH_A_TEAM = 1 << 14, // floats
};

struct rows_job {
	float *y, *rstd, *x;
	const float *res, *w, *dy, *cx, *crstd;
	float *dx, *dw, *partial;
	const matrix *table;
	const int32_t *ids;
	long m, h;
	float eps;
};

static void norm_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	struct rows_job *j = job;
	for (long m = i * ROWS; m < least((i + 1) * ROWS, j->m); m++)
		j->rstd[m] = d->isa->norm(j->y + m * j->h, j->x + m * j->h, j->res ? j->res + m * j->h : NULL, j->w, j->h, j->eps);
}

void cpu_norm(cpu *d, float *y, float *rstd, float *x, const float *res, const float *w, long m, long h, float eps) {
	struct rows_job j = {.y = y, .rstd = rstd, .x = x, .res = res, .w = w, .m = m, .h = h, .eps = eps};
	each(d, parts(m, ROWS), m * h >= WORTH_A_TEAM, norm_task, &j);
}

static void norm_backward_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	struct rows_job *j = job;
	float *dw = j->partial ? j->partial + i * j->h : NULL;
	if (dw) memset(dw, 0, 4 * (size_t)j->h);
	for (long m = i * SUMMED; m < least((i + 1) * SUMMED, j->m); m++)
		d->isa->norm_backward(j->dx + m * j->h, dw, j->dy + m * j->h, j->cx + m * j->h, j->w, j->crstd[m], j->h);
}

static void norm_weight_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	struct rows_job *j = job;
	long at = i * COLUMNS, width = least(COLUMNS, j->h - at);
	for (long p = 0; p < parts(j->m, SUMMED); p++) d->isa->axpy(j->dw + at, 1, j->partial + p * j->h + at, width);
}

void cpu_norm_backward(cpu *d, float *dx, float *dw, const float *dy, const float *x, const float *w, const float *rstd, long m, long h) {
	struct rows_job j = {.dx = dx, .dw = dw, .dy = dy, .cx = x, .w = w, .crstd = rstd, .m = m, .h = h};
	if (dw && !(j.partial = scratch(d, PARTIAL, 4 * (size_t)(parts(m, SUMMED) * h)))) return;
	each(d, parts(m, SUMMED), m * h >= WORTH_A_TEAM, norm_backward_task, &j);
	if (dw) each(d, parts(h, COLUMNS), 0, norm_weight_task, &j);
}

static void swiglu_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	struct rows_job *j = job;
	for (long m = i * ROWS; m < least((i + 1) * ROWS, j->m); m++) d->isa->swiglu(j->y + m * j->h, j->cx + 2 * m * j->h, j->h);
}

void cpu_swiglu(cpu *d, float *z, const float *u, long m, long f) {
	struct rows_job j = {.y = z, .cx = u, .m = m, .h = f};
	each(d, parts(m, ROWS), m * f >= WORTH_A_TEAM, swiglu_task, &j);
}

static void swiglu_backward_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	struct rows_job *j = job;
	for (long m = i * ROWS; m < least((i + 1) * ROWS, j->m); m++)
		d->isa->swiglu_backward(j->dx + 2 * m * j->h, j->dy + m * j->h, j->cx + 2 * m * j->h, j->h);
}

void cpu_swiglu_backward(cpu *d, float *du, const float *dz, const float *u, long m, long f) {
	struct rows_job j = {.dx = du, .dy = dz, .cx = u, .m = m, .h = f};
	each(d, parts(m, ROWS), m * f >= WORTH_A_TEAM, swiglu_backward_task, &j);
}

static void embed_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	struct rows_job *j = job;
	const matrix *t = j->table;
	long row = row_bytes(t->format, j->h), scales = row_scales(t->format, j->h);
	for (long m = i * ROWS; m < least((i + 1) * ROWS, j->m); m++) {
		float *to = j->y + m * j->h;
		const char *from = (const char *)t->data + j->ids[m] * row;
		if (t->format)
			d->isa->decode(t->format, to, from, t->scales + j->ids[m] * scales, 0, j->h);
		else
			memcpy(to, from, (size_t)row);
	}
}

void cpu_embed(cpu *d, float *y, const matrix *table, const int32_t *ids, long m, long h) {
	struct rows_job j = {.y = y, .table = table, .ids = ids, .m = m, .h = h};
	each(d, parts(m, ROWS), m * h >= WORTH_A_TEAM, embed_task, &j);
}

// A row of the table may be hit by many rows of dy, which must be added in
// their order: tasks share out the columns.
static void embed_backward_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	struct rows_job *j = job;
	long at = i * COLUMNS, width = least(COLUMNS, j->h - at);
	for (long m = 0; m < j->m; m++) d->isa->axpy(j->dw + j->ids[m] * j->h + at, 1, j->dy + m * j->h + at, width);
}

void cpu_embed_backward(cpu *d, float *dtable, const float *dy, const int32_t *ids, long m, long h) {
	struct rows_job j = {.dw = dtable, .dy = dy, .ids = ids, .m = m, .h = h};
	each(d, parts(h, COLUMNS), m * h >= WORTH_A_TEAM, embed_backward_task, &j);
}
