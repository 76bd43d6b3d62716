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
	DOTS_ROWS = 16,         // at most, for which packing would cost more than the product
	DOTS_COLS = 64,         // of a task of dots
};

struct gemm {
	cpu *d;
	const product *p;
	const products *kernels;
	long depth;              // words of k
	long row_step, col_step; // of a task
	long right_cols;         // packed at once
	uint32_t *left, *right;  // left: row_step·DEPTH words of each worker
};

// pack_right packs panel i of the right operand's columns from j0 on.
static void pack_right(const struct gemm *g, long i, long j0, long cols) {
	const product *p = g->p;
	const products *k = g->kernels;
	long col = i * k->nr;
	if (p->format)
		pack_narrow(g->d->isa, k, g->right + col * g->depth, p, j0 + col, least(k->nr, cols - col));
	else
		k->right(g->right + col * g->depth, k->nr, (const float *)p->b + (j0 + col) * p->b_col, p->b_col, p->b_k, least(k->nr, cols - col), p->k);
}

// compute_block computes rows i0… and columns j0+j1… of the result.
static void compute_block(const struct gemm *g, long i0, long j0, long j1, long cols, uint32_t *left) {
	const product *p = g->p;
	const products *k = g->kernels;
	long rows_end = least(i0 + g->row_step, p->m), cols_end = least(j1 + g->col_step, cols);
	for (long w = 0; w < g->depth; w += DEPTH) {
		long depth = least(DEPTH, g->depth - w), from = w * k->pairs;
		// Where k runs down the columns, a few of them at a time: lines that the next
		// panel needs too are still in the first cache then.
		long run = p->a_k == 1 ? depth : least(DOWN, depth);
		for (long r = 0; r < depth; r += run)
			for (long i = i0; i < rows_end; i += k->mr)
				k->left(left + (i - i0) * depth + r * k->mr, k->mr, p->a + i * p->a_row + (from + r * k->pairs) * p->a_k, p->a_row, p->a_k,
				        least(k->mr, p->m - i), least(least(run, depth - r) * k->pairs, p->k - from - r * k->pairs));
		// Along the rows: pages and lines of c are written one after the other.
		for (long i = i0; i < rows_end; i += k->mr)
			for (long j = j1; j < cols_end; j += k->nr)
				k->tile(depth, left + (i - i0) * depth, g->right + j * g->depth + w * k->nr,
				        p->c + i * p->ldc + j0 + j, p->ldc, least(k->mr, p->m - i), least(k->nr, cols - j),
				        p->alpha, p->add || w > 0, p->bias ? p->bias + j0 + j : NULL);
	}
}

static void gemm_body(team *t, int worker, void *job) {
	const struct gemm *g = job;
	const product *p = g->p;
	const products *k = g->kernels;
	uint32_t *left = g->left + worker * g->row_step * DEPTH;
	if (k->begin) k->begin();
	for (long j0 = 0; j0 < p->n; j0 += g->right_cols) {
		long cols = least(g->right_cols, p->n - j0);
		for (long i; (i = team_claim(t)) < parts(cols, k->nr);) pack_right(g, i, j0, cols);
		team_barrier(t);
		// Down the rows first: the columns of the right operand stay in the cache.
		long down = parts(p->m, g->row_step), tasks = parts(cols, g->col_step) * down;
		for (long i; (i = team_claim(t)) < tasks;) compute_block(g, i % down * g->row_step, j0, i / down * g->col_step, cols, left);
		if (j0 + cols < p->n) team_barrier(t);
	}
	if (k->end) k->end();
}

// dots_task computes a few columns of a product with few rows, without packing.
static void dots_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	const product *p = job;
	long j = i * DOTS_COLS;
	for (long m = 0; m < p->m; m += 4)
		if (p->format)
			narrow_dots(d, p, m, least(4, p->m - m), j, least(DOTS_COLS, p->n - j));
		else
			d->isa->dots(p->c + m * p->ldc + j, p->ldc, p->a + m * p->a_row, p->a_row, (const float *)p->b + j * p->b_col, p->b_col,
			             least(4, p->m - m), least(DOTS_COLS, p->n - j), p->k, p->alpha, p->add, p->bias ? p->bias + j : NULL);
}

void multiply(cpu *d, const product *p) {
	int wide = p->m * p->n * p->k >= WORTH_A_TEAM;
	if (p->m <= DOTS_ROWS && p->a_k == 1 && p->b_k == 1) {
		each(d, parts(p->n, DOTS_COLS), wide, dots_task, (void *)p);
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
	if (g.left && g.right) region(d, wide, gemm_body, &g);
}
