// The output layer and the loss: rows that have a target are gathered and go
// through the logits a chunk at a time, so that those are never held whole.
#include "kernels.h"

#include <string.h>

enum { LOGITS_HELD = 8 << 20, LEAST_ROWS = 128, MOST_ROWS = 1024 };

struct loss_job {
	const output *o;
	float *loss;
	int32_t *hits;
	const void *x;
	void *dx, *gathered;        // in o's format
	float *logits, *base_logits; // NULL without an anchor
	const long *row; // of the batch, for each gathered one
	long ld;         // of a row of logits
	int gradient;
};

static void gather_task(cpu *d, long i, int worker, void *job) {
	(void)d, (void)worker;
	struct loss_job *j = job;
	size_t bytes = (size_t)row_bytes(j->o->format, j->o->h);
	memcpy((char *)j->gathered + i * bytes, (const char *)j->x + j->row[i] * bytes, bytes);
}

static void scatter_task(cpu *d, long i, int worker, void *job) {
	(void)d, (void)worker;
	struct loss_job *j = job;
	size_t bytes = (size_t)row_bytes(j->o->format, j->o->h);
	memcpy((char *)j->dx + j->row[i] * bytes, (const char *)j->gathered + i * bytes, bytes);
}

static void loss_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	struct loss_job *j = job;
	const output *o = j->o;
	long m = j->row[i], target = o->targets[m];
	float *z = j->logits + i * j->ld, *base = j->base_logits ? j->base_logits + i * j->ld : NULL;
	float scale = o->weights ? o->scale * o->weights[m] : o->scale;
	if (j->hits) j->hits[m] = d->isa->likeliest(z, o->v, target);
	if (o->smoothing == 0 && !base)
		j->loss[m] = d->isa->loss(z, o->v, target, scale, j->gradient);
	else
		j->loss[m] = d->isa->loss_toward(z, base, o->v, target, o->smoothing, o->anchor, scale);
}

// score gathers rows of x and computes their logits.
static void score(cpu *d, struct loss_job *j, const void *x, long rows, float *logits) {
	const output *o = j->o;
	j->x = x;
	each(d, rows, 0, gather_task, j);
	multiply(d, &(product){.c = logits, .ldc = j->ld, .a = j->gathered, .a_format = o->format, .a_row = o->h, .a_k = 1,
	                       .b = o->w.data, .b_k = 1, .b_col = o->h, .format = o->w.format, .scales = o->w.scales,
	                       .m = rows, .n = o->v, .k = o->h, .alpha = 1, .bias = o->bias});
}

void output_loss(cpu *d, float *loss, int32_t *hits, const void *x, long m, const output *o, const output_grad *g) {
	long h = o->h, v = o->v, chunk = LOGITS_HELD / v;
	chunk = least(chunk < LEAST_ROWS ? LEAST_ROWS : chunk > MOST_ROWS ? MOST_ROWS : chunk, m);
	// Rows a power of two apart would share a few places of the caches.
	long ld = v + (v % 1024 ? 0 : 16);
	size_t held = ((size_t)row_bytes(o->format, chunk * h) + 63) / 64 * 64;
	float *logits = scratch(d, LOGITS, 4 * (size_t)(chunk * ld));
	char *gathered = scratch(d, GATHERED, held + sizeof(long) * (size_t)chunk);
	if (!logits || !gathered) return;
	long *row = (long *)(void *)(gathered + held);
	struct loss_job j = {.o = o, .loss = loss, .hits = hits, .dx = g->dx, .gathered = gathered, .logits = logits,
	                     .row = row, .ld = ld, .gradient = g->dx || g->w || g->bias};
	if (o->base && !(j.base_logits = scratch(d, BASE_LOGITS, 4 * (size_t)(chunk * ld)))) return;
	memset(loss, 0, 4 * (size_t)m);
	if (hits) memset(hits, 0, 4 * (size_t)m);
	if (g->dx) {
		long bytes = row_bytes(o->format, m * h);
		cpu_zero(d, g->dx, bytes / 4);
		memset((char *)g->dx + bytes / 4 * 4, 0, (size_t)bytes % 4);
	}
	for (long next = 0; next < m;) {
		long rows = 0;
		for (; next < m && rows < chunk; next++)
			if (o->targets[next] >= 0) row[rows++] = next;
		if (rows == 0) break;
		if (o->base) score(d, &j, o->base, rows, j.base_logits);
		score(d, &j, x, rows, logits);
		each(d, rows, rows * v > 1 << 14, loss_task, &j);
		if (g->w)
			multiply(d, &(product){.c = g->w, .ldc = h, .a = logits, .a_row = 1, .a_k = ld, .b = gathered, .b_k = h, .b_col = 1, .format = o->format,
			                       .m = v, .n = h, .k = rows, .alpha = 1, .add = 1});
		if (g->bias) add_columns(d, g->bias, F32, logits, ld, rows, v);
		if (g->dx) { // the gathered rows have served; their gradients take their place
			multiply(d, &(product){.c = gathered, .c_format = o->format, .ldc = h, .a = logits, .a_row = ld, .a_k = 1,
			                       .b = o->w.data, .b_k = h, .b_col = 1, .format = o->w.format, .scales = o->w.scales,
			                       .m = rows, .n = h, .k = v, .alpha = 1});
			each(d, rows, 0, scatter_task, &j);
		}
	}
}

void cpu_cross_entropy(cpu *d, float *loss, float *dx, float *dw, const float *x, const matrix *w, const int32_t *targets, long m, long h, long v, float scale, goal g) {
	output o = {.w = *w, .h = h, .v = v, .targets = targets, .scale = scale,
	            .smoothing = g.smoothing, .anchor = g.anchor, .base = g.base};
	output_loss(d, loss, NULL, x, m, &o, &(output_grad){.dx = dx, .w = dw});
}
