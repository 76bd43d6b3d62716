// The output layer and the loss: rows that have a target are gathered and go
// through the logits a chunk at a time, so that those are never held whole.
#include "kernels.h"

#include <string.h>

enum { LOGITS_HELD = 8 << 20, LEAST_ROWS = 128, MOST_ROWS = 1024 };

struct loss_job {
	const output *o;
	const pass *p;
	float *loss;
	int32_t *hits;
	tensor x, dx, gathered; // x: that or the reference's
	float *logits, *reference; // [chunk,ld], reference NULL without a KL term
	long ld;
	const int32_t *row; // of the batch, for each gathered one
	int gradient;
};

static void gather_task(cpu *d, long i, int worker, void *job) {
	(void)d, (void)worker;
	const struct loss_job *j = job;
	memcpy(skip(j->gathered, i * j->o->h).data, skip(j->x, j->row[i] * j->o->h).data, (size_t)row_bytes(j->x.format, j->o->h));
}

static void scatter_task(cpu *d, long i, int worker, void *job) {
	(void)d, (void)worker;
	const struct loss_job *j = job;
	memcpy(skip(j->dx, j->row[i] * j->o->h).data, skip(j->gathered, i * j->o->h).data, (size_t)row_bytes(j->dx.format, j->o->h));
}

static void loss_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	const struct loss_job *j = job;
	const output *o = j->o;
	long m = j->row[i], target = j->p->targets[m];
	float *z = j->logits + i * j->ld, *reference = j->reference ? j->reference + i * j->ld : NULL;
	float scale = j->p->weights ? o->scale * j->p->weights[m] : o->scale;
	if (j->hits) j->hits[m] = d->isa->likeliest(z, o->v, target);
	if (o->smoothing == 0 && !reference)
		j->loss[m] = d->isa->loss(z, o->v, target, scale, j->gradient);
	else
		j->loss[m] = d->isa->loss_toward(z, reference, o->v, target, o->smoothing, o->kl, scale);
}

// score gathers rows of x and computes their logits.
static void score(cpu *d, struct loss_job *j, tensor x, long rows, float *logits) {
	const output *o = j->o;
	j->x = x;
	each(d, rows, 0, gather_task, j);
	multiply(d, &(product){.c = logits, .ldc = j->ld, .a = j->gathered.data, .a_format = x.format, .a_row = o->h, .a_k = 1,
	                       .b = o->w.data, .b_k = 1, .b_col = o->h, .format = o->w.format, .scales = o->w.scales,
	                       .m = rows, .n = o->v, .k = o->h, .alpha = 1, .bias = o->bias});
}

void cpu_cross_entropy(cpu *d, float *loss, int32_t *hits, tensor dx, tensor x, const pass *p, const output *o, const output_grad *g) {
	long h = o->h, v = o->v, chunk = LOGITS_HELD / v;
	chunk = least(chunk < LEAST_ROWS ? LEAST_ROWS : chunk > MOST_ROWS ? MOST_ROWS : chunk, p->m);
	// Rows a power of two apart would share a few places of the caches.
	long ld = v + (v % 1024 ? 0 : 16);
	struct loss_job j = {.o = o, .p = p, .loss = loss, .hits = hits, .dx = dx, .ld = ld, .gradient = dx.data || g->w.data || g->bias};
	j.logits = scratch(d, LOGITS, 4 * (size_t)(chunk * ld));
	j.gathered = (tensor){x.format, scratch(d, GATHERED, (size_t)row_bytes(x.format, chunk * h))};
	if (o->reference) j.reference = scratch(d, REFERENCE_LOGITS, 4 * (size_t)(chunk * ld));
	cpu_zero(d, loss, 4 * p->m);
	if (hits) cpu_zero(d, hits, 4 * p->m);
	if (dx.data) cpu_zero(d, dx.data, row_bytes(dx.format, p->m * h));
	for (long next = 0, rows; next < p->scored_rows; next += rows) {
		rows = least(chunk, p->scored_rows - next);
		j.row = p->scored + next;
		if (o->reference) score(d, &j, (tensor){x.format, (void *)(uintptr_t)o->reference}, rows, j.reference);
		score(d, &j, x, rows, j.logits);
		each(d, rows, rows * v > 1 << 14, loss_task, &j);
		if (g->w.data)
			multiply(d, &(product){.c = g->w.data, .c_format = g->w.format, .ldc = h, .a = j.logits, .a_row = 1, .a_k = ld,
			                       .b = j.gathered.data, .b_k = h, .b_col = 1, .format = x.format,
			                       .m = v, .n = h, .k = rows, .alpha = 1, .add = 1});
		if (g->bias) add_columns(d, g->bias, (tensor){F32, j.logits}, ld, rows, v);
		if (dx.data) { // the gathered rows have served; their gradients take their place
			multiply(d, &(product){.c = j.gathered.data, .c_format = x.format, .ldc = h, .a = j.logits, .a_row = ld, .a_k = 1,
			                       .b = o->w.data, .b_k = h, .b_col = 1, .format = o->w.format, .scales = o->w.scales,
			                       .m = rows, .n = h, .k = v, .alpha = 1});
			each(d, rows, 0, scatter_task, &j);
		}
	}
}
