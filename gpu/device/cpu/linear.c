// Linear layers with an optional LoRA branch. Activations are floats or bfloat16;
// what has dropout applied to it, and what the branch holds itself, is float32.
#include "kernels.h"

enum { RUN = 1 << 14, COLUMNS = 64, WIDENED = 1024 };

// dropout_job is y (+)= drop(x) of a tensor of n numbers. x is of the given format
// where it is assigned, y where it is added to.
struct dropout_job {
	void *y;
	const void *x;
	int format, add;
	long n;
	const linear *l;
};

static void dropout_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	struct dropout_job *j = job;
	const isa *k = d->isa;
	float p = j->l->dropout;
	long end = least(j->n, (i + 1) * RUN), run = j->format ? WIDENED : RUN;
	for (long at = i * RUN; at < end; at += run) {
		long n = least(run, end - at);
		if (!j->format) {
			k->dropout((float *)j->y + at, (const float *)j->x + at, (uint64_t)at, n, p, j->l->seed, j->add);
		} else if (j->add) {
			float y[WIDENED];
			uint16_t *to = (uint16_t *)j->y + at;
			k->decode(BF16, y, to, NULL, 0, n);
			k->dropout(y, (const float *)j->x + at, (uint64_t)at, n, p, j->l->seed, 1);
			k->round(to, y, n);
		} else {
			float *to = (float *)j->y + at;
			k->decode(BF16, to, (const uint16_t *)j->x + at, NULL, 0, n);
			k->dropout(to, to, (uint64_t)at, n, p, j->l->seed, 0);
		}
	}
}

static void drop(cpu *d, void *y, const void *x, int format, long n, const linear *l, int add) {
	struct dropout_job j = {y, x, format, add, n, l};
	each(d, parts(n, RUN), 1, dropout_task, &j);
}

// dropped is drop(x) and its format: x itself without dropout, else a float32 copy
// in scratch.
static const void *dropped(cpu *d, const void *x, long m, const linear *l, int *format) {
	*format = l->dropout == 0 ? l->x_format : F32;
	if (l->dropout == 0) return x;
	float *y = scratch(d, DROPPED, 4 * (size_t)(m * l->i));
	if (y) drop(d, y, x, l->x_format, m * l->i, l, 0);
	return y;
}

void linear_forward(cpu *d, void *y, const void *x, long m, const linear *l) {
	multiply(d, &(product){.c = y, .c_format = l->y_format, .ldc = l->o, .a = x, .a_format = l->x_format, .a_row = l->i, .a_k = 1,
	                       .b = l->w.data, .b_k = 1, .b_col = l->i, .format = l->w.format, .scales = l->w.scales,
	                       .m = m, .n = l->o, .k = l->i, .alpha = 1, .bias = l->bias});
	if (!l->a) return;
	int format;
	const void *kept = dropped(d, x, m, l, &format);
	if (!kept) return;
	multiply(d, &(product){.c = l->u, .ldc = l->r, .a = kept, .a_format = format, .a_row = l->i, .a_k = 1, .b = l->a, .b_k = 1, .b_col = l->i,
	                       .m = m, .n = l->r, .k = l->i, .alpha = 1});
	multiply(d, &(product){.c = y, .c_format = l->y_format, .ldc = l->o, .a = l->u, .a_row = l->r, .a_k = 1, .b = l->b, .b_k = 1, .b_col = l->r,
	                       .m = m, .n = l->o, .k = l->r, .alpha = l->scale, .add = 1});
}

struct columns_job {
	float *sum;
	int format;
	const void *x;
	long ldx, m, n;
};

// columns_task adds rows in order, for a few columns.
static void columns_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	struct columns_job *j = job;
	long at = i * COLUMNS, width = least(COLUMNS, j->n - at);
	for (long m = 0; m < j->m; m++) {
		float wide[COLUMNS];
		const void *x = number(j->format, j->x, m * j->ldx + at);
		if (j->format) d->isa->decode(BF16, wide, x, NULL, 0, width);
		d->isa->axpy(j->sum + at, 1, j->format ? wide : x, width);
	}
}

void add_columns(cpu *d, float *sum, int format, const void *x, long ldx, long m, long n) {
	struct columns_job j = {sum, format, x, ldx, m, n};
	each(d, parts(n, COLUMNS), m * n > 1 << 16, columns_task, &j);
}

void linear_backward(cpu *d, void *dx, const void *dy, const void *x, long m, const linear *l, const linear_grad *g) {
	if (dx)
		multiply(d, &(product){.c = dx, .c_format = l->x_format, .ldc = l->i, .a = dy, .a_format = l->y_format, .a_row = l->o, .a_k = 1,
		                       .b = l->w.data, .b_k = l->i, .b_col = 1, .format = l->w.format, .scales = l->w.scales,
		                       .m = m, .n = l->i, .k = l->o, .alpha = 1});
	if (g->w)
		multiply(d, &(product){.c = g->w, .ldc = l->i, .a = dy, .a_format = l->y_format, .a_row = 1, .a_k = l->o,
		                       .b = x, .b_k = l->i, .b_col = 1, .format = l->x_format,
		                       .m = l->o, .n = l->i, .k = m, .alpha = 1, .add = 1});
	if (g->bias) add_columns(d, g->bias, l->y_format, dy, l->o, m, l->o);
	if (!l->a) return;
	if (g->b)
		multiply(d, &(product){.c = g->b, .ldc = l->r, .a = dy, .a_format = l->y_format, .a_row = 1, .a_k = l->o, .b = l->u, .b_k = l->r, .b_col = 1,
		                       .m = l->o, .n = l->r, .k = m, .alpha = l->scale, .add = 1});
	if (!g->a && !dx) return;
	multiply(d, &(product){.c = g->du, .ldc = l->r, .a = dy, .a_format = l->y_format, .a_row = l->o, .a_k = 1, .b = l->b, .b_k = l->r, .b_col = 1,
	                       .m = m, .n = l->r, .k = l->o, .alpha = l->scale});
	if (g->a) {
		int format;
		const void *kept = dropped(d, x, m, l, &format);
		if (!kept) return;
		multiply(d, &(product){.c = g->a, .ldc = l->i, .a = g->du, .a_row = 1, .a_k = l->r, .b = kept, .b_k = l->i, .b_col = 1, .format = format,
		                       .m = l->r, .n = l->i, .k = m, .alpha = 1, .add = 1});
	}
	if (!dx) return;
	// Through the branch: dx += drop(dU·A). Without dropout the product adds by itself.
	int direct = l->dropout == 0;
	void *branch = direct ? dx : scratch(d, DROPPED, 4 * (size_t)(m * l->i));
	if (!branch) return;
	multiply(d, &(product){.c = branch, .c_format = direct ? l->x_format : F32, .ldc = l->i, .a = g->du, .a_row = l->r, .a_k = 1, .b = l->a, .b_k = l->i, .b_col = 1,
	                       .m = m, .n = l->i, .k = l->r, .alpha = 1, .add = direct});
	if (!direct) drop(d, dx, branch, l->x_format, m * l->i, l, 1);
}

void cpu_linear(cpu *d, float *y, const float *x, long m, const linear *l) { linear_forward(d, y, x, m, l); }
void cpu_linear_backward(cpu *d, float *dx, const float *dy, const float *x, long m, const linear *l, const linear_grad *g) {
	linear_backward(d, dx, dy, x, m, l, g);
}
