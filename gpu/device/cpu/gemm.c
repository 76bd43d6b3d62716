// Matrix products after Goto and van de Geijn, "Anatomy of High-Performance
// Matrix Multiplication" (2008): both operands are packed into panels once,
// then tiles of the result are claimed by whoever is free. Each element is
// summed over k in blocks of DEPTH words in ascending order, whichever tile it
// falls into and whoever computes that.
#include "kernels.h"

enum {
	DEPTH = 256,             // words of depth a tile runs through: its panels stay in the first two caches
	TILE_ROWS = 192,         // at most, of a task: with DEPTH, what fits in the second cache
	TILE_COLS = 256,         //
	RIGHT_WORDS = 4 << 20,   // of the right operand packed at once: 16 MB
	WORTH_A_TEAM = 1 << 17,  // multiplications below which one thread is faster
	DOTS_ROWS = 16,          // at most, for which packing would cost more than the product
	DOTS_COLS = 64,          // of a task of dots
};

struct gemm {
	cpu *d;
	const product *p;
	const products *kernels;
	long depth;              // words of k
	long row_step, col_step; // of a task
	long right_cols;         // packed at once
	uint32_t *left, *right;
};

// pack_panel packs panel i of the left operand, or of the right one's columns
// from j0 on once the left one's are done.
static void pack_panel(const struct gemm *g, long i, long lefts, long j0, long cols) {
	const product *p = g->p;
	const products *k = g->kernels;
	if (i < lefts) {
		long row = i * k->mr;
		k->left(g->left + row * g->depth, k->mr, p->a + row * p->a_row, p->a_row, p->a_k, least(k->mr, p->m - row), p->k);
		return;
	}
	long col = (i - lefts) * k->nr;
	k->right(g->right + col * g->depth, k->nr, p->b + (j0 + col) * p->b_col, p->b_col, p->b_k, least(k->nr, cols - col), p->k);
}

// compute_task computes rows i0… and columns j0+j1… of the result.
static void compute_task(const struct gemm *g, long i0, long j0, long j1, long cols) {
	const product *p = g->p;
	const products *k = g->kernels;
	long rows_end = least(i0 + g->row_step, p->m), cols_end = least(j1 + g->col_step, cols);
	for (long w = 0; w < g->depth; w += DEPTH) {
		long depth = least(DEPTH, g->depth - w);
		for (long j = j1; j < cols_end; j += k->nr)
			for (long i = i0; i < rows_end; i += k->mr)
				k->tile(
					depth, g->left + i * g->depth + w * k->mr, g->right + j * g->depth + w * k->nr,
					p->c + i * p->ldc + j0 + j, p->ldc, least(k->mr, p->m - i), least(k->nr, cols - j),
					p->alpha, p->add || w > 0, p->bias ? p->bias + j0 + j : NULL);
	}
}

static void gemm_body(team *t, int worker, void *job) {
	(void)worker;
	const struct gemm *g = job;
	const product *p = g->p;
	const products *k = g->kernels;
	if (k->begin) k->begin();
	for (long j0 = 0; j0 < p->n; j0 += g->right_cols) {
		long cols = least(g->right_cols, p->n - j0);
		long lefts = j0 ? 0 : parts(p->m, k->mr), panels = lefts + parts(cols, k->nr);
		for (long i; (i = team_claim(t)) < panels;) pack_panel(g, i, lefts, j0, cols);
		team_barrier(t);
		long across = parts(cols, g->col_step), tasks = parts(p->m, g->row_step) * across;
		for (long i; (i = team_claim(t)) < tasks;) compute_task(g, i / across * g->row_step, j0, i % across * g->col_step, cols);
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
		d->isa->dots(p->c + m * p->ldc + j, p->ldc, p->a + m * p->a_row, p->a_row, p->b + j * p->b_col, p->b_col,
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
	g.row_step = TILE_ROWS / k->mr * k->mr;
	g.col_step = TILE_COLS / k->nr * k->nr;
	// Enough tasks that the last ones end together.
	long enough = 4 * team_workers(d->team);
	while (parts(p->m, g.row_step) * parts(p->n, g.col_step) < enough && g.col_step > 2 * k->nr) g.col_step /= 2;
	while (parts(p->m, g.row_step) * parts(p->n, g.col_step) < enough && g.row_step > 4 * k->mr) g.row_step -= k->mr;
	g.left = scratch(d, PACKED_LEFT, 4 * parts(p->m, k->mr) * k->mr * g.depth);
	g.right = scratch(d, PACKED_RIGHT, 4 * g.right_cols * g.depth);
	if (g.left && g.right) team_run(d->team, wide, gemm_body, &g);
}
