// Linear layers with LoRA branches. Activations are floats or bfloat16; what a
// branch holds itself is float32.
#include "kernels.h"

#include <stdlib.h>

enum { RUN = 1 << 14, COLUMNS = 64 };

struct dropout {
	tensor y, x;
	long n;
	const linear *l;
};

static void dropout_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	const struct dropout *j = job;
	long at = i * RUN;
	d->isa->dropout(skip(j->y, at), skip(j->x, at), (uint64_t)at, least(RUN, j->n - at), j->l->dropout, j->l->seed, 0);
}

// dropped is drop(x): x itself without dropout, else a copy in scratch, as exact as
// operands of products are.
static tensor dropped(cpu *d, tensor x, long m, const linear *l) {
	if (l->dropout == 0) return x;
	int format = d->bf16 ? BF16 : F32;
	tensor y = {format, scratch(d, DROPPED, (size_t)row_bytes(format, m * l->i))};
	each(d, parts(m * l->i, RUN), 1, dropout_task, &(struct dropout){y, x, m * l->i, l});
	return y;
}

void cpu_linear(cpu *d, tensor y, tensor x, long m, const linear *l, const branch *branches, long count) {
	product *also = count ? malloc((size_t)count * sizeof *also) : NULL;
	if (count && !also) {
		d->fault = 1;
		return;
	}
	tensor kept = count ? dropped(d, x, m, l) : x;
	for (long i = 0; i < count; i++) {
		const branch *b = &branches[i];
		multiply(d, &(product){.c = b->u, .ldc = b->r, .a = skip(kept, b->row * l->i).data, .a_format = kept.format, .a_row = l->i, .a_k = 1,
		                       .b = b->a, .b_k = 1, .b_col = l->i,
		                       .m = b->m, .n = b->r, .k = l->i, .alpha = 1});
		also[i] = (product){.a = b->u, .a_row = b->r, .a_k = 1, .b = b->b, .b_k = 1, .b_col = b->r,
		                    .row = b->row, .m = b->m, .n = l->o, .k = b->r, .alpha = b->scale};
	}
	multiply(d, &(product){.c = y.data, .c_format = y.format, .ldc = l->o, .a = x.data, .a_format = x.format, .a_row = l->i, .a_k = 1,
	                       .b = l->w.data, .b_k = 1, .b_col = l->i, .format = l->w.format, .scales = l->w.scales,
	                       .m = m, .n = l->o, .k = l->i, .alpha = 1, .bias = l->bias, .also = also, .also_count = count});
	free(also);
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

void cpu_linear_backward(cpu *d, tensor dx, tensor dy, tensor x, long m, const linear *l, const branch *b, const linear_grad *g) {
	if (b && (g->a || dx.data))
		multiply(d, &(product){.c = g->du, .ldc = b->r, .a = dy.data, .a_format = dy.format, .a_row = l->o, .a_k = 1, .b = b->b, .b_k = b->r, .b_col = 1,
		                       .m = m, .n = b->r, .k = l->o, .alpha = b->scale});
	if (dx.data) {
		product also;
		if (b)
			also = (product){.a = g->du, .a_row = b->r, .a_k = 1, .b = b->a, .b_k = l->i, .b_col = 1,
			                 .m = m, .n = l->i, .k = b->r, .alpha = 1, .dropout = l->dropout, .seed = l->seed};
		multiply(d, &(product){.c = dx.data, .c_format = dx.format, .ldc = l->i, .a = dy.data, .a_format = dy.format, .a_row = l->o, .a_k = 1,
		                       .b = l->w.data, .b_k = l->i, .b_col = 1, .format = l->w.format, .scales = l->w.scales,
		                       .m = m, .n = l->i, .k = l->o, .alpha = 1, .also = &also, .also_count = b != NULL});
	}
	if (g->w.data)
		multiply(d, &(product){.c = g->w.data, .c_format = g->w.format, .ldc = l->i, .a = dy.data, .a_format = dy.format, .a_row = 1, .a_k = l->o,
		                       .b = x.data, .b_k = l->i, .b_col = 1, .format = x.format,
		                       .m = l->o, .n = l->i, .k = m, .alpha = 1, .add = 1});
	if (g->bias) add_columns(d, g->bias, dy, l->o, m, l->o);
	if (b && g->b)
		multiply(d, &(product){.c = g->b, .ldc = b->r, .a = dy.data, .a_format = dy.format, .a_row = 1, .a_k = l->o, .b = b->u, .b_k = b->r, .b_col = 1,
		                       .m = l->o, .n = b->r, .k = m, .alpha = b->scale, .add = 1});
	if (b && g->a) {
		tensor kept = dropped(d, x, m, l);
		multiply(d, &(product){.c = g->a, .ldc = l->i, .a = g->du, .a_row = 1, .a_k = b->r, .b = kept.data, .b_k = l->i, .b_col = 1, .format = kept.format,
		                       .m = b->r, .n = l->i, .k = m, .alpha = 1, .add = 1});
	}
}
