// Matrix products after Goto and van de Geijn, "Anatomy of High-Performance
// Matrix Multiplication" (2008): the right operand is packed into panels once, by
// all; then blocks of the result are claimed by whoever is free, who packs the
// rows of the left operand that it needs for itself, so that they never leave its
// second cache. Each element is summed over k in runs of DEPTH words in ascending
// order, whichever block it falls into and whoever computes that.
#include "kernels.h"

enum {
	DOWN = 16,              // words of depth packed at a time from columns
	DEPTH = 256,            // words of depth a tile runs through: its panels stay in the first two caches
	TASK_ROWS = 128,        // at most, of a task
	TASK_COLS = 512,        // at most: with DEPTH, half a second cache of 1 MB
	RIGHT_WORDS = 4 << 20,  // of the right operand packed at once: 16 MB
	WORTH_A_TEAM = 1 << 17, // multiplications below which one thread is faster
	FEW_ROWS = 16,          // at most, for which packing would cost more than the product
	DOTS_COLS = 64,         // of a task of dots
	STRIP_COLS = 256,       // of a task of strips
	STRIP_ROWS = 16,        // of b, read side by side
};

struct gemm {
	cpu *d;
	const product *p;
	const products *kernels;
	long depth;              // words of k
	long row_step, col_step; // of a task
	long right_cols;         // packed at once
	uint32_t *left, *right;  // left: row_step·DEPTH words of each worker
	float *blocks;           // of each worker, where c is rounded: row_step·col_step sums
};

// pack_right packs panel i of the right operand's columns from j0 on.
static void pack_right(const struct gemm *g, long i, long j0, long cols) {
	const product *p = g->p;
	const products *k = g->kernels;
	long col = i * k->nr;
	long lanes = least(k->nr, cols - col);
	if (p->format == F32 || p->format == BF16)
		k->right(p->format, g->right + col * g->depth, k->nr, number(p->format, p->b, (j0 + col) * p->b_col), p->b_col, p->b_k, lanes, p->k);
	else
		pack_narrow(g->d->isa, k, g->right + col * g->depth, p, j0 + col, lanes);
}

// compute_block computes rows i0… and columns j0+j1… of the result. Sums that are
// to be rounded stay in `block` until they are complete.
static void compute_block(const struct gemm *g, long i0, long j0, long j1, long cols, uint32_t *left, float *block) {
	const product *p = g->p;
	const products *k = g->kernels;
	const isa *isa = g->d->isa;
	long rows_end = least(i0 + g->row_step, p->m), cols_end = least(j1 + g->col_step, cols), width = cols_end - j1;
	int rounded = p->c_format == BF16;
	uint16_t *halves = (uint16_t *)p->c + i0 * p->ldc + j0 + j1;
	float *c = rounded ? block : (float *)p->c + i0 * p->ldc + j0 + j1;
	long ldc = rounded ? g->col_step : p->ldc;
	for (long i = i0; rounded && p->add && i < rows_end; i++)
		isa->decode(BF16, c + (i - i0) * ldc, halves + (i - i0) * p->ldc, NULL, 0, width);
	for (long w = 0; w < g->depth; w += DEPTH) {
		long depth = least(DEPTH, g->depth - w), from = w * k->pairs;
		// Where k runs down the columns, a few of them at a time: lines that the next
		// panel needs too are still in the first cache then.
		long run = p->a_k == 1 ? depth : least(DOWN, depth);
		for (long r = 0; r < depth; r += run)
			for (long i = i0; i < rows_end; i += k->mr)
				k->left(p->a_format, left + (i - i0) * depth + r * k->mr, k->mr, number(p->a_format, p->a, i * p->a_row + (from + r * k->pairs) * p->a_k), p->a_row, p->a_k,
				        least(k->mr, p->m - i), least(least(run, depth - r) * k->pairs, p->k - from - r * k->pairs));
		// Along the rows: pages and lines of c are written one after the other.
		for (long i = i0; i < rows_end; i += k->mr) {
			long rows = least(k->mr, p->m - i);
			for (long j = j1; j < cols_end; j += k->nr)
				k->tile(depth, left + (i - i0) * depth, g->right + j * g->depth + w * k->nr,
				        c + (i - i0) * ldc + j - j1, ldc, rows, least(k->nr, cols - j),
				        p->alpha, p->add || w > 0, p->bias ? p->bias + j0 + j : NULL);
			for (long r = i - i0; rounded && w + DEPTH >= g->depth && r < i - i0 + rows; r++)
				isa->round(halves + r * p->ldc, c + r * ldc, width);
		}
	}
}

static void gemm_body(team *t, int worker, void *job) {
	const struct gemm *g = job;
	const product *p = g->p;
	const products *k = g->kernels;
	uint32_t *left = g->left + worker * g->row_step * DEPTH;
	float *block = g->blocks ? g->blocks + worker * g->row_step * g->col_step : NULL;
	if (k->begin) k->begin();
	for (long j0 = 0; j0 < p->n; j0 += g->right_cols) {
		long cols = least(g->right_cols, p->n - j0);
		for (long i; (i = team_claim(t)) < parts(cols, k->nr);) pack_right(g, i, j0, cols);
		team_barrier(t);
		// Down the rows first: the columns of the right operand stay in the cache.
		long down = parts(p->m, g->row_step), tasks = parts(cols, g->col_step) * down;
		for (long i; (i = team_claim(t)) < tasks;) compute_block(g, i % down * g->row_step, j0, i / down * g->col_step, cols, left, block);
		if (j0 + cols < p->n) team_barrier(t);
	}
	if (k->end) k->end();
}

// dots_task computes a few columns of a product with few rows where k runs along
// the rows of both, without packing.
static void dots_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	const product *p = job;
	long j = i * DOTS_COLS;
	for (long m = 0; m < p->m; m += 4)
		if (p->format)
			narrow_dots(d, p, m, least(4, p->m - m), j, least(DOTS_COLS, p->n - j));
		else
			d->isa->dots((float *)p->c + m * p->ldc + j, p->ldc, (const float *)p->a + m * p->a_row, p->a_row, (const float *)p->b + j * p->b_col, p->b_col,
			             least(4, p->m - m), least(DOTS_COLS, p->n - j), p->k, p->alpha, p->add, p->bias ? p->bias + j : NULL);
}

// strips_task does that where k runs down the columns of b: it goes through a few
// rows of b side by side, so that memory is read in order.
static void strips_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	const product *p = job;
	float wide[STRIP_ROWS * STRIP_COLS];
	long j = i * STRIP_COLS, cols = least(STRIP_COLS, p->n - j);
	long row = row_bytes(p->format, p->n), scales = row_scales(p->format, p->n);
	for (long k = 0; k < p->k; k += STRIP_ROWS) {
		long rows = least(STRIP_ROWS, p->k - k);
		for (long r = 0; p->format && r < rows; r++)
			d->isa->decode(p->format, wide + r * STRIP_COLS, (const char *)p->b + (k + r) * row, p->scales + (k + r) * scales, j, cols);
		d->isa->block((float *)p->c + j, p->ldc, (const float *)p->a + k, p->a_row, 1, p->format ? wide : (const float *)p->b + k * p->b_k + j,
		              p->format ? STRIP_COLS : p->b_k, p->m, cols, rows, p->add || k > 0);
	}
}

static void multiply_few(cpu *d, const product *p) {
	int wide = p->m * p->n * p->k >= WORTH_A_TEAM;
	if (p->b_k == 1)
		each(d, parts(p->n, DOTS_COLS), wide, dots_task, (void *)p);
	else
		each(d, parts(p->n, STRIP_COLS), wide, strips_task, (void *)p);
}

// In multiply_few_narrow p is what was asked for and q the same with floats for a
// and c.
struct few {
	const product *p;
	product q;
};

static void widen_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	const struct few *f = job;
	const product *p = f->p, *q = &f->q;
	if (p->a_format) d->isa->decode(BF16, (float *)(uintptr_t)q->a + i * q->a_row, number(BF16, p->a, i * p->a_row), NULL, 0, p->k);
	if (p->c_format && p->add) d->isa->decode(BF16, (float *)q->c + i * q->ldc, number(BF16, p->c, i * p->ldc), NULL, 0, p->n);
}

static void round_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	const struct few *f = job;
	d->isa->round((uint16_t *)f->p->c + i * f->p->ldc, (const float *)f->q.c + i * f->q.ldc, f->p->n);
}

// multiply_few_narrow widens a and rounds c, which have few rows.
static void multiply_few_narrow(cpu *d, const product *p) {
	struct few f = {p, *p};
	if (p->a_format) {
		f.q.a = scratch(d, WIDE_LEFT, 4 * (size_t)(p->m * p->k));
		f.q.a_format = F32, f.q.a_row = p->k;
	}
	if (p->c_format) {
		f.q.c = scratch(d, WIDE_RESULT, 4 * (size_t)(p->m * p->n));
		f.q.c_format = F32, f.q.ldc = p->n;
	}
	each(d, p->m, 0, widen_task, &f);
	multiply_few(d, &f.q);
	if (p->c_format) each(d, p->m, 0, round_task, &f);
}

void multiply(cpu *d, const product *p) {
	int dots = p->b_k == 1 && (p->b_col == p->k || !p->format), strips = p->b_col == 1 && p->alpha == 1 && !p->bias && (p->b_k == p->n || !p->format);
	if (p->m <= FEW_ROWS && p->a_k == 1 && (dots || strips)) {
		if (p->a_format || p->c_format)
			multiply_few_narrow(d, p);
		else
			multiply_few(d, p);
		return;
	}
	const products *k = d->bf16 ? &d->isa->bf16 : &d->isa->fp32;
	struct gemm g = {.d = d, .p = p, .kernels = k};
	g.depth = parts(p->k, k->pairs * k->multiple) * k->multiple;
	g.right_cols = least(parts(p->n, k->nr), RIGHT_WORDS / g.depth / k->nr + 1) * k->nr;
	g.row_step = TASK_ROWS / k->mr * k->mr;
	g.col_step = TASK_COLS / k->nr * k->nr;
	// Enough tasks that the last ones end together.
	long enough = 4 * team_workers(d->team);
	while (parts(p->m, g.row_step) * parts(p->n, g.col_step) < enough && g.col_step > 2 * k->nr) g.col_step /= 2;
	while (parts(p->m, g.row_step) * parts(p->n, g.col_step) < enough && g.row_step > 2 * k->mr) g.row_step -= k->mr;
	g.left = scratch(d, PACKED_LEFT, 4 * (size_t)(team_workers(d->team) * g.row_step * DEPTH));
	g.right = scratch(d, PACKED_RIGHT, 4 * g.right_cols * g.depth);
	if (p->c_format) g.blocks = scratch(d, BLOCKS, 4 * (size_t)(team_workers(d->team) * g.row_step * g.col_step));
	region(d, p->m * p->n * p->k >= WORTH_A_TEAM, gemm_body, &g);
}
