// Matrix products after Goto and van de Geijn, "Anatomy of High-Performance
// Matrix Multiplication" (2008), whose names MC, KC and NC are: the right operand
// is packed into panels once, by all; then blocks of the result are claimed by
// whoever is free, who packs the rows of the left operand that it needs for
// itself, so that they never leave its second cache. Where one block has all the
// rows, nobody else wants its panels of the right operand: they are packed by the
// one who needs them, too, and never reach memory.
//
// Each element is summed over k in runs of KC words in ascending order, whichever
// block it falls into and whoever computes that.
#include "kernels.h"

enum {
	DOWN = 16,              // words of k packed at a time from columns
	KC = 256,               // words of k a tile runs through: its panels stay in the first two caches
	MC = 128,               // rows of a block, about, at most
	NC = 512,               // columns of a block, at most: with KC, half a second cache of 1 MB
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
	long words;             // of k
	long mc, nc;            // rows and columns of a block
	int own;                // one block has all the rows
	long right_cols;        // packed at once
	// left is mc·KC words of each worker. right is nc·KC of each worker, too, or all:
	// run after run of KC words the panels of all columns, so that those of a block lie
	// together. Panels over all of k would often be a power of two apart.
	uint32_t *left, *right;
	float *sums;            // of each worker, where c is rounded: mc·nc
};

// A block is rows i0… and columns j0… of the result.
struct block {
	long i0, rows, j0, cols;
	uint32_t *left, *right;
	long first, stride; // of the right operand's packed columns: the block's first, how many in all
	float *sums;
};

// pack_right packs a panel of the right operand, columns j… and n words of k from
// `from` on.
static void pack_right(const struct gemm *g, uint32_t *to, long j, long from, long n) {
	const product *p = g->p;
	const products *k = g->kernels;
	long first = from * k->pairs, depth = least(n * k->pairs, p->k - first), lanes = least(k->nr, p->n - j);
	if (p->format == F32 || p->format == BF16)
		k->right(p->format, to, k->nr, number(p->format, p->b, j * p->b_col + first * p->b_k), p->b_col, p->b_k, lanes, depth);
	else
		pack_narrow(g->d->isa, k, to, p, j, lanes, first, depth);
}

// pack_left packs a block's rows of the left operand, n words of k from `from` on.
static void pack_left(const struct gemm *g, const struct block *b, long from, long n) {
	const product *p = g->p;
	const products *k = g->kernels;
	// Where k runs down the columns, a few of them at a time: lines that the next
	// panel needs too are still in the first cache then.
	long run = p->a_k == 1 ? n : least(DOWN, n);
	for (long w = 0; w < n; w += run)
		for (long i = 0; i < b->rows; i += k->mr) {
			long first = (from + w) * k->pairs;
			k->left(p->a_format, b->left + i * n + w * k->mr, k->mr, number(p->a_format, p->a, (b->i0 + i) * p->a_row + first * p->a_k), p->a_row, p->a_k,
			        least(k->mr, b->rows - i), least(least(run, n - w) * k->pairs, p->k - first));
		}
}

// compute_block computes a block. Sums that are to be rounded stay with the worker
// until they are complete.
static void compute_block(const struct gemm *g, const struct block *b) {
	const product *p = g->p;
	const products *k = g->kernels;
	const isa *isa = g->d->isa;
	long at = b->i0 * p->ldc + b->j0;
	uint16_t *rounded = p->c_format == BF16 ? (uint16_t *)p->c + at : NULL;
	float *c = rounded ? b->sums : (float *)p->c + at;
	long ldc = rounded ? g->nc : p->ldc;
	for (long i = 0; rounded && p->add && i < b->rows; i++) isa->decode(BF16, c + i * ldc, rounded + i * p->ldc, NULL, 0, b->cols);
	for (long w = 0; w < g->words; w += KC) {
		long n = least(KC, g->words - w);
		pack_left(g, b, w, n);
		for (long j = 0; g->own && j < b->cols; j += k->nr) pack_right(g, b->right + j * n, b->j0 + j, w, n);
		// Along the rows: pages and lines of c are written one after the other.
		for (long i = 0; i < b->rows; i += k->mr) {
			long rows = least(k->mr, b->rows - i);
			for (long j = 0; j < b->cols; j += k->nr)
				k->tile(n, b->left + i * n, b->right + w * b->stride + (b->first + j) * n, c + i * ldc + j, ldc, rows, least(k->nr, b->cols - j),
				        p->alpha, p->add || w > 0, p->bias ? p->bias + b->j0 + j : NULL);
			for (long r = i; rounded && w + KC >= g->words && r < i + rows; r++) isa->round(rounded + r * p->ldc, c + r * ldc, b->cols);
		}
	}
}

static void gemm_body(team *t, int worker, void *job) {
	const struct gemm *g = job;
	const product *p = g->p;
	const products *k = g->kernels;
	struct block b = {.left = g->left + worker * g->mc * KC, .sums = g->sums ? g->sums + worker * g->mc * g->nc : NULL,
	                  .right = g->own ? g->right + worker * g->nc * KC : g->right, .stride = g->own ? 0 : g->right_cols};
	if (k->begin) k->begin();
	for (long j0 = 0; j0 < p->n; j0 += g->right_cols) {
		long cols = least(g->right_cols, p->n - j0);
		if (!g->own) {
			for (long j; (j = team_claim(t) * k->nr) < cols;)
				for (long w = 0; w < g->words; w += KC) {
					long n = least(KC, g->words - w);
					pack_right(g, g->right + w * g->right_cols + j * n, j0 + j, w, n);
				}
			team_barrier(t);
		}
		// Down the rows first: the columns of the right operand stay in the cache.
		long down = parts(p->m, g->mc), tasks = parts(cols, g->nc) * down;
		for (long i; (i = team_claim(t)) < tasks;) {
			long j = i / down * g->nc;
			b.i0 = i % down * g->mc;
			b.rows = least(g->mc, p->m - b.i0);
			b.j0 = j0 + j;
			b.cols = least(g->nc, cols - j);
			b.first = g->own ? 0 : j;
			compute_block(g, &b);
		}
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

// multiply_few_narrow widens a and rounds c, which have few rows.
static void multiply_few_narrow(cpu *d, const product *p) {
	product q = *p;
	if (p->a_format) {
		float *a = scratch(d, WIDE_LEFT, 4 * (size_t)(p->m * p->k));
		for (long i = 0; a && i < p->m; i++) d->isa->decode(BF16, a + i * p->k, number(BF16, p->a, i * p->a_row), NULL, 0, p->k);
		q.a = a, q.a_format = F32, q.a_row = p->k;
	}
	float *c = p->c_format ? scratch(d, WIDE_RESULT, 4 * (size_t)(p->m * p->n)) : NULL;
	uint16_t *halves = p->c;
	if (d->fault) return;
	for (long i = 0; c && p->add && i < p->m; i++) d->isa->decode(BF16, c + i * p->n, halves + i * p->ldc, NULL, 0, p->n);
	if (c) q.c = c, q.c_format = F32, q.ldc = p->n;
	multiply_few(d, &q);
	for (long i = 0; c && i < p->m; i++) d->isa->round(halves + i * p->ldc, c + i * p->n, p->n);
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
	long workers = team_workers(d->team);
	struct gemm g = {.d = d, .p = p, .kernels = k, .mc = parts(MC, k->mr) * k->mr, .nc = NC / k->nr * k->nr};
	g.words = parts(p->k, k->pairs * k->multiple) * k->multiple;
	g.own = p->m <= g.mc;
	// Enough blocks that the last ones end together.
	long enough = 4 * workers;
	while (parts(p->m, g.mc) * parts(p->n, g.nc) < enough && g.nc > 2 * k->nr) g.nc = parts(g.nc / 2, k->nr) * k->nr;
	while (!g.own && parts(p->m, g.mc) * parts(p->n, g.nc) < enough && g.mc > 2 * k->mr) g.mc -= k->mr;
	g.right_cols = g.own ? p->n : least(parts(p->n, k->nr), RIGHT_WORDS / g.words / k->nr + 1) * k->nr;
	g.left = scratch(d, PACKED_LEFT, 4 * (size_t)(workers * g.mc * KC));
	g.right = scratch(d, PACKED_RIGHT, 4 * (size_t)(g.own ? workers * g.nc * KC : g.right_cols * g.words));
	if (p->c_format) g.sums = scratch(d, BLOCKS, 4 * (size_t)(workers * g.mc * g.nc));
	if (!d->fault) team_run(d->team, p->m * p->n * p->k >= WORTH_A_TEAM, gemm_body, &g);
}
