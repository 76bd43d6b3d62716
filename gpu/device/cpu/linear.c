// Linear layers with an optional LoRA branch. Activations are floats or bfloat16;
// what has dropout applied to it, and what the branch holds itself, is float32.
#include "kernels.h"

enum { RUN = 1 << 14, COLUMNS = 64 };

// dropout_job is y (+)= drop(x) of tensors of n numbers.
struct dropout_job {
	tensor y, x;
	int add;
	long n;
	const linear *l;
};

static void dropout_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	const struct dropout_job *j = job;
	long at = i * RUN;
	d->isa->dropout(skip(j->y, at), skip(j->x, at), (uint64_t)at, least(RUN, j->n - at), j->l->dropout, j->l->seed, j->add);
}

static void drop(cpu *d, tensor y, tensor x, long n, const linear *l, int add) {
	struct dropout_job j = {y, x, add, n, l};
	each(d, parts(n, RUN), 1, dropout_task, &j);
}

// dropped is drop(x): x itself without dropout, else a float32 copy in scratch.
static tensor dropped(cpu *d, tensor x, long m, const linear *l) {
	if (l->dropout == 0) return x;
	tensor y = {F32, scratch(d, DROPPED, 4 * (size_t)(m * l->i))};
	if (y.data) drop(d, y, x, m * l->i, l, 0);
	return y;
}

void cpu_linear(cpu *d, tensor y, tensor x, long m, const linear *l) {
	multiply(d, &(product){.c = y.data, .c_format = y.format, .ldc = l->o, .a = x.data, .a_format = x.format, .a_row = l->i, .a_k = 1,
	                       .b = l->w.data, .b_k = 1, .b_col = l->i, .format = l->w.format, .scales = l->w.scales,
	                       .m = m, .n = l->o, .k = l->i, .alpha = 1, .bias = l->bias});
	if (!l->a) return;
	tensor kept = dropped(d, x, m, l);
	if (!kept.data) return;
	multiply(d, &(product){.c = l->u, .ldc = l->r, .a = kept.data, .a_format = kept.format, .a_row = l->i, .a_k = 1, .b = l->a, .b_k = 1, .b_col = l->i,
	                       .m = m, .n = l->r, .k = l->i, .alpha = 1});
	multiply(d, &(product){.c = y.data, .c_format = y.format, .ldc = l->o, .a = l->u, .a_row = l->r, .a_k = 1, .b = l->b, .b_k = 1, .b_col = l->r,
	                       .m = m, .n = l->o, .k = l->r, .alpha = l->scale, .add = 1});
}

struct columns_job {
	float *sum;
	tensor x;
	long ldx, m, n;
};

// columns_task adds rows in order, for a few columns.
static void columns_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	const struct columns_job *j = job;
	long at = i * COLUMNS, width = least(COLUMNS, j->n - at);
	for (long m = 0; m < j->m; m++) {
		float wide[COLUMNS];
		tensor x = skip(j->x, m * j->ldx + at);
		if (x.format) d->isa->decode(BF16, wide, x.data, NULL, 0, width);
		d->isa->axpy(j->sum + at, 1, x.format ? wide : x.data, width);
	}
}

void add_columns(cpu *d, float *sum, tensor x, long ldx, long m, long n) {
	struct columns_job j = {sum, x, ldx, m, n};
	each(d, parts(n, COLUMNS), m * n > 1 << 16, columns_task, &j);
}

void cpu_linear_backward(cpu *d, tensor dx, tensor dy, tensor x, long m, const linear *l, const linear_grad *g) {
	if (dx.data)
		multiply(d, &(product){.c = dx.data, .c_format = dx.format, .ldc = l->i, .a = dy.data, .a_format = dy.format, .a_row = l->o, .a_k = 1,
		                       .b = l->w.data, .b_k = l->i, .b_col = 1, .format = l->w.format, .scales = l->w.scales,
		                       .m = m, .n = l->i, .k = l->o, .alpha = 1});
	if (g->w.data)
		multiply(d, &(product){.c = g->w.data, .c_format = g->w.format, .ldc = l->i, .a = dy.data, .a_format = dy.format, .a_row = 1, .a_k = l->o,
		                       .b = x.data, .b_k = l->i, .b_col = 1, .format = x.format,
		                       .m = l->o, .n = l->i, .k = m, .alpha = 1, .add = 1});
	if (g->bias) add_columns(d, g->bias, dy, l->o, m, l->o);
	if (!l->a) return;
	if (g->b)
		multiply(d, &(product){.c = g->b, .ldc = l->r, .a = dy.data, .a_format = dy.format, .a_row = 1, .a_k = l->o, .b = l->u, .b_k = l->r, .b_col = 1,
		                       .m = l->o, .n = l->r, .k = m, .alpha = l->scale, .add = 1});
	if (!g->a && !dx.data) return;
	multiply(d, &(product){.c = g->du, .ldc = l->r, .a = dy.data, .a_format = dy.format, .a_row = l->o, .a_k = 1, .b = l->b, .b_k = l->r, .b_col = 1,
	                       .m = m, .n = l->r, .k = l->o, .alpha = l->scale});
	if (g->a) {
		tensor kept = dropped(d, x, m, l);
		if (!kept.data) return;
		multiply(d, &(product){.c = g->a, .ldc = l->i, .a = g->du, .a_row = 1, .a_k = l->r, .b = kept.data, .b_k = l->i, .b_col = 1, .format = kept.format,
		                       .m = l->r, .n = l->i, .k = m, .alpha = 1, .add = 1});
	}
	if (!dx.data) return;
	// Through the branch: dx += drop(dU·A). Without dropout the product adds by itself.
	int direct = l->dropout == 0;
	tensor branch = direct ? dx : (tensor){F32, scratch(d, DROPPED, 4 * (size_t)(m * l->i))};
	if (!branch.data) return;
	multiply(d, &(product){.c = branch.data, .c_format = branch.format, .ldc = l->i, .a = g->du, .a_row = l->r, .a_k = 1, .b = l->a, .b_k = l->i, .b_col = 1,
	                       .m = m, .n = l->i, .k = l->r, .alpha = 1, .add = direct});
	if (!direct) drop(d, dx, branch, m * l->i, l, 1);
}
