// RMSNorm and SwiGLU: operators that work row by row.
#include "kernels.h"

#include <string.h>

enum {
	ROWS = 32,    // of a task
	SUMMED = 128, // rows whose weight gradients are summed before they are added up
	COLUMNS = 64,
	WORTH_A_TEAM = 1 << 14, // numbers
};

struct norm {
	tensor y, sum, x, res;
	float *rstd;
	const float *w;
	long m, h;
	float eps;
};

static void norm_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	const struct norm *j = job;
	for (long m = i * ROWS; m < least((i + 1) * ROWS, j->m); m++) {
		long row = m * j->h;
		j->rstd[m] = d->isa->norm(skip(j->y, row), skip(j->sum, row), skip(j->x, row), skip(j->res, row), j->w, j->h, j->eps);
	}
}

void cpu_norm(cpu *d, tensor y, float *rstd, tensor sum, tensor x, tensor res, const float *w, long m, long h, float eps) {
	struct norm j = {.y = y, .sum = sum, .x = x, .res = res, .rstd = rstd, .w = w, .m = m, .h = h, .eps = eps};
	each(d, parts(m, ROWS), m * h >= WORTH_A_TEAM, norm_task, &j);
}

struct norm_backward {
	tensor dx, dy, x;
	const float *w, *rstd;
	float *dw, *partial; // partial: [⌈M/SUMMED⌉,H], NULL where dw is not wanted
	long m, h;
};

static void norm_backward_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	const struct norm_backward *j = job;
	float *dw = j->partial ? j->partial + i * j->h : NULL;
	if (dw) memset(dw, 0, 4 * (size_t)j->h);
	for (long m = i * SUMMED; m < least((i + 1) * SUMMED, j->m); m++) {
		long row = m * j->h;
		d->isa->norm_backward(skip(j->dx, row), dw, skip(j->dy, row), skip(j->x, row), j->w, j->rstd[m], j->h);
	}
}

static void norm_weight_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	const struct norm_backward *j = job;
	long column = i * COLUMNS, width = least(COLUMNS, j->h - column);
	for (long p = 0; p < parts(j->m, SUMMED); p++) d->isa->axpy(j->dw + column, 1, j->partial + p * j->h + column, width);
}

void cpu_norm_backward(cpu *d, tensor dx, float *dw, tensor dy, tensor x, const float *w, const float *rstd, long m, long h) {
	struct norm_backward j = {.dx = dx, .dy = dy, .x = x, .w = w, .rstd = rstd, .dw = dw, .m = m, .h = h};
	if (dw && !(j.partial = scratch(d, PARTIAL, 4 * (size_t)(parts(m, SUMMED) * h)))) return;
	each(d, parts(m, SUMMED), m * h >= WORTH_A_TEAM, norm_backward_task, &j);
	if (dw) each(d, parts(h, COLUMNS), 0, norm_weight_task, &j);
}

struct swiglu {
	tensor z, u;
	tensor dz, du; // backward
	long m, f;
};

static void swiglu_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	const struct swiglu *j = job;
	for (long m = i * ROWS; m < least((i + 1) * ROWS, j->m); m++) d->isa->swiglu(skip(j->z, m * j->f), skip(j->u, 2 * m * j->f), j->f);
}

void cpu_swiglu(cpu *d, tensor z, tensor u, long m, long f) {
	struct swiglu j = {.z = z, .u = u, .m = m, .f = f};
	each(d, parts(m, ROWS), m * f >= WORTH_A_TEAM, swiglu_task, &j);
}

static void swiglu_backward_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	const struct swiglu *j = job;
	for (long m = i * ROWS; m < least((i + 1) * ROWS, j->m); m++)
		d->isa->swiglu_backward(skip(j->du, 2 * m * j->f), skip(j->dz, m * j->f), skip(j->u, 2 * m * j->f), j->f);
}

void cpu_swiglu_backward(cpu *d, tensor du, tensor dz, tensor u, long m, long f) {
	struct swiglu j = {.u = u, .dz = dz, .du = du, .m = m, .f = f};
	each(d, parts(m, ROWS), m * f >= WORTH_A_TEAM, swiglu_backward_task, &j);
}
