#include "kernels.h"

// dropout_job is y (+)= drop(x) of an n-float tensor.
struct dropout_job {
	float *y;
	const float *x;
	long n;
	const linear *l;
	int add;
};
enum { RUN = 1 << 14 };

static void dropout_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	struct dropout_job *j = job;
	long at = i * RUN;
	d->isa->dropout((tensor){F32, j->y + at}, (tensor){F32, (void *)(uintptr_t)(j->x + at)}, (uint64_t)at, least(RUN, j->n - at), j->l->dropout, j->l->seed, j->add);
}

static void drop(cpu *d, float *y, const float *x, long n, const linear *l, int add) {
	struct dropout_job j = {y, x, n, l, add};
	each(d, parts(n, RUN), 1, dropout_task, &j);
}

// dropped is drop(x): x itself without dropout, else a copy in scratch.
static const float *dropped(cpu *d, const float *x, long m, const linear *l) {
	if (l->dropout == 0) return x;
	float *y = scratch(d, DROPPED, 4 * (size_t)(m * l->i));
	if (y) drop(d, y, x, m * l->i, l, 0);
	return y;
}

void cpu_linear(cpu *d, float *y, const float *x, long m, const linear *l) {
	multiply(d, &(product){.c = y, .ldc = l->o, .a = x, .a_row = l->i, .a_k = 1, .b = l->w.data, .b_k = 1, .b_col = l->i,
	                       .format = l->w.format, .scales = l->w.scales,
	                       .m = m, .n = l->o, .k = l->i, .alpha = 1, .bias = l->bias});
	if (!l->a) return;
	const float *kept = dropped(d, x, m, l);
	if (!kept) return;
	multiply(d, &(product){.c = l->u, .ldc = l->r, .a = kept, .a_row = l->i, .a_k = 1, .b = l->a, .b_k = 1, .b_col = l->i,
	                       .m = m, .n = l->r, .k = l->i, .alpha = 1});
	multiply(d, &(product){.c = y, .ldc = l->o, .a = l->u, .a_row = l->r, .a_k = 1, .b = l->b, .b_k = 1, .b_col = l->r,
	                       .m = m, .n = l->o, .k = l->r, .alpha = l->scale, .add = 1});
}

struct columns_job {
	float *sum;
	const float *x;
	long m, n;
};
enum { COLUMNS = 64 };

// columns_task adds rows in order, for a few columns.
static void columns_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	struct columns_job *j = job;
	long at = i * COLUMNS, width = least(COLUMNS, j->n - at);
	for (long m = 0; m < j->m; m++) d->isa->axpy(j->sum + at, 1, j->x + m * j->n + at, width);
}

void cpu_linear_backward(cpu *d, float *dx, const float *dy, const float *x, long m, const linear *l, const linear_grad *g) {
	if (dx)
		multiply(d, &(product){.c = dx, .ldc = l->i, .a = dy, .a_row = l->o, .a_k = 1, .b = l->w.data, .b_k = l->i, .b_col = 1,
		                       .format = l->w.format, .scales = l->w.scales,
		                       .m = m, .n = l->i, .k = l->o, .alpha = 1});
	if (g->w)
		multiply(d, &(product){.c = g->w, .ldc = l->i, .a = dy, .a_row = 1, .a_k = l->o, .b = x, .b_k = l->i, .b_col = 1,
		                       .m = l->o, .n = l->i, .k = m, .alpha = 1, .add = 1});
	if (g->bias) {
		struct columns_job j = {g->bias, dy, m, l->o};
		each(d, parts(l->o, COLUMNS), m * l->o > 1 << 16, columns_task, &j);
	}
	if (!l->a) return;
	if (g->b)
		multiply(d, &(product){.c = g->b, .ldc = l->r, .a = dy, .a_row = 1, .a_k = l->o, .b = l->u, .b_k = l->r, .b_col = 1,
		                       .m = l->o, .n = l->r, .k = m, .alpha = l->scale, .add = 1});
	if (!g->a && !dx) return;
	multiply(d, &(product){.c = g->du, .ldc = l->r, .a = dy, .a_row = l->o, .a_k = 1, .b = l->b, .b_k = l->r, .b_col = 1,
	                       .m = m, .n = l->r, .k = l->o, .alpha = l->scale});
	if (g->a) {
		const float *kept = dropped(d, x, m, l);
		if (!kept) return;
		multiply(d, &(product){.c = g->a, .ldc = l->i, .a = g->du, .a_row = 1, .a_k = l->r, .b = kept, .b_k = l->i, .b_col = 1,
		                       .m = l->r, .n = l->i, .k = m, .alpha = 1, .add = 1});
	}
	if (!dx) return;
	// Through the branch: dx += drop(dU·A). Without dropout the product adds by itself.
	float *branch = l->dropout == 0 ? dx : scratch(d, DROPPED, 4 * (size_t)(m * l->i));
	if (!branch) return;
	multiply(d, &(product){.c = branch, .ldc = l->i, .a = g->du, .a_row = l->r, .a_k = 1, .b = l->a, .b_k = l->i, .b_col = 1,
	                       .m = m, .n = l->i, .k = l->r, .alpha = 1, .add = branch == dx});
	if (branch != dx) drop(d, dx, branch, m * l->i, l, 1);
}
