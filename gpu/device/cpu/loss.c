// The output layer and the loss: rows that have a target are gathered and go
// through the logits a chunk at a time, so that those are never held whole.
#include "kernels.h"

#include <string.h>

enum { LOGITS_HELD = 8 << 20, LEAST_ROWS = 128, MOST_ROWS = 1024 };

struct loss_job {
	float *loss, *dx, *logits, *gathered;
	float *base_logits; // NULL without an anchor
	const float *x;
	const int32_t *targets;
	const int32_t *row; // of the batch, for each gathered one
	long m, h, v, ld; // ld: of a row of logits
	float scale;
	int gradient;
	goal g;
};

static void gather_task(cpu *d, long i, int worker, void *job) {
	(void)d, (void)worker;
	struct loss_job *j = job;
	memcpy(j->gathered + i * j->h, j->x + j->row[i] * j->h, 4 * (size_t)j->h);
}

static void scatter_task(cpu *d, long i, int worker, void *job) {
	(void)d, (void)worker;
	struct loss_job *j = job;
	memcpy(j->dx + j->row[i] * j->h, j->gathered + i * j->h, 4 * (size_t)j->h);
}

static void loss_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	struct loss_job *j = job;
	long m = j->row[i];
	float *z = j->logits + i * j->ld, *base = j->base_logits ? j->base_logits + i * j->ld : NULL;
	if (j->g.smoothing == 0 && !base)
		j->loss[m] = d->isa->loss(z, j->v, j->targets[m], j->scale, j->gradient);
	else
		j->loss[m] = d->isa->loss_toward(z, base, j->v, j->targets[m], j->g.smoothing, j->g.anchor, j->scale);
}

// score gathers rows of x and computes their logits.
static void score(cpu *d, struct loss_job *j, const float *x, const matrix *w, long rows, float *logits) {
	j->x = x;
	each(d, rows, 0, gather_task, j);
	multiply(d, &(product){.c = logits, .ldc = j->ld, .a = j->gathered, .a_row = j->h, .a_k = 1, .b = w->data, .b_k = 1, .b_col = j->h,
	                       .format = w->format, .scales = w->scales,
	                       .m = rows, .n = j->v, .k = j->h, .alpha = 1});
}

void cpu_cross_entropy(cpu *d, float *loss, float *dx, float *dw, const float *x, const matrix *w, const pass *p, long h, long v, float scale, goal g) {
	long m = p->m, chunk = LOGITS_HELD / v;
	chunk = least(chunk < LEAST_ROWS ? LEAST_ROWS : chunk > MOST_ROWS ? MOST_ROWS : chunk, m);
	// Rows a power of two apart would share a few places of the caches.
	long ld = v + (v % 1024 ? 0 : 16);
	float *logits = scratch(d, LOGITS, 4 * (size_t)(chunk * ld));
	float *gathered = scratch(d, GATHERED, 4 * (size_t)(chunk * h));
	if (!logits || !gathered) return;
	struct loss_job j = {.loss = loss, .dx = dx, .logits = logits, .gathered = gathered, .targets = p->targets,
	                     .m = m, .h = h, .v = v, .ld = ld, .scale = scale, .gradient = dx || dw, .g = g};
	if (g.base && !(j.base_logits = scratch(d, BASE_LOGITS, 4 * (size_t)(chunk * ld)))) return;
	cpu_zero(d, loss, 4 * m);
	if (dx) cpu_zero(d, dx, 4 * m * h);
	for (long next = 0, rows; next < p->scored_rows; next += rows) {
		rows = least(chunk, p->scored_rows - next);
		j.row = p->scored + next;
		if (g.base) score(d, &j, g.base, w, rows, j.base_logits);
		score(d, &j, x, w, rows, logits);
		each(d, rows, rows * v > 1 << 14, loss_task, &j);
		if (dw)
			multiply(d, &(product){.c = dw, .ldc = h, .a = logits, .a_row = 1, .a_k = ld, .b = gathered, .b_k = h, .b_col = 1,
			                       .m = v, .n = h, .k = rows, .alpha = 1, .add = 1});
		if (dx) { // the gathered rows have served; their gradients take their place
			multiply(d, &(product){.c = gathered, .ldc = h, .a = logits, .a_row = ld, .a_k = 1, .b = w->data, .b_k = h, .b_col = 1,
			                       .format = w->format, .scales = w->scales,
			                       .m = rows, .n = h, .k = v, .alpha = 1});
			each(d, rows, 0, scatter_task, &j);
		}
	}
}
