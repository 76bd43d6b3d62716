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
	MC = BLOCK_ROWS,        // rows of a block, about, at most
	NC = 512,               // columns of a block, at most: with KC, half a second cache of 1 MB
	RIGHT_WORDS = 4 << 20,  // of the right operand packed at once: 16 MB
	WORTH_A_TEAM = 1 << 17, // multiplications below which one thread is faster
	DOTS_COLS = 64,         // of a task of dots
	STRIP_COLS = 256,       // of a task of strips
	STRIP_ROWS = 16,        // of b, read side by side
};

struct gemm {
	cpu *d;
	const product *p;
	const products *kernels;
	long mc, nc;     // rows and columns of a block
	int own;         // one block has all the rows
	long right_cols; // packed at once
	// Room of each worker: rows of the left operand, mc·KC; panels of a right operand
	// that are for one block, nc·KC; and sums where c is rounded, two times mc·nc.
	uint32_t *left, *panels;
	float *sums;
	// The right operand for all: run after run of KC words the panels of all columns,
	// so that those of a block lie together. Panels over all of k would often be a power
	// of two apart.
	uint32_t *right;
};

// A block is rows i0… and columns j0… of the result, and its worker's room.
struct block {
	long i0, rows, j0, cols;
	uint32_t *left, *panels;
	float *sums;
	long first; // column of those that are packed for all
};

// words_of is how many words of k a product has.
static long words_of(const products *k, const product *p) { return parts(p->k, k->pairs * k->multiple) * k->multiple; }

// pack_right packs a panel of the right operand, columns j… and n words of k from
// `from` on.
static void pack_right(const struct gemm *g, const product *p, uint32_t *to, long j, long from, long n) {
	const products *k = g->kernels;
	long first = from * k->pairs, depth = least(n * k->pairs, p->k - first), lanes = least(k->nr, g->p->n - j);
	if (p->format == F32 || p->format == BF16)
		k->right(p->format, to, k->nr, number(p->format, p->b, j * p->b_col + first * p->b_k), p->b_col, p->b_k, lanes, depth);
	else
		pack_narrow(g->d->isa, k, to, p, j, lanes, first, depth);
}

// pack_left packs a block's rows of the left operand, n words of k from `from` on.
static void pack_left(const products *k, const product *p, const struct block *b, long from, long n) {
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

// add_up adds a block of a product to c, or assigns it. The right operand is packed
// for all, or by this worker.
static void add_up(const struct gemm *g, const struct block *b, const product *p, int packed, float *c, long ldc, int add) {
	const products *k = g->kernels;
	for (long w = 0, words = words_of(k, p); w < words; w += KC) {
		long n = least(KC, words - w);
		const uint32_t *right = packed ? g->right + w * g->right_cols + b->first * n : b->panels;
		pack_left(k, p, b, w, n);
		for (long j = 0; !packed && j < b->cols; j += k->nr) pack_right(g, p, b->panels + j * n, b->j0 + j, w, n);
		// Along the rows: pages and lines of c are written one after the other.
		for (long i = 0; i < b->rows; i += k->mr)
			for (long j = 0; j < b->cols; j += k->nr)
				k->tile(n, b->left + i * n, right + j * n, c + i * ldc + j, ldc, least(k->mr, b->rows - i), least(k->nr, b->cols - j),
				        p->alpha, add || w > 0, p->bias ? p->bias + b->j0 + j : NULL);
	}
}

// add_also adds what another product has for the rows of a block.
static void add_also(const struct gemm *g, const struct block *b, const product *p, float *c, long ldc) {
	long first = b->i0 > p->row ? b->i0 : p->row, end = least(b->i0 + b->rows, p->row + p->m);
	if (first >= end) return;
	struct block part = *b;
	part.i0 = first - p->row;
	part.rows = end - first;
	c += (first - b->i0) * ldc;
	if (p->dropout == 0) {
		add_up(g, &part, p, 0, c, ldc, 1);
		return;
	}
	float *sums = b->sums + g->mc * g->nc;
	add_up(g, &part, p, 0, sums, g->nc, 0);
	for (long i = 0; i < part.rows; i++)
		g->d->isa->dropout((tensor){F32, c + i * ldc}, (tensor){F32, sums + i * g->nc}, (uint64_t)((first + i) * p->n + b->j0), b->cols, p->dropout, p->seed, 1);
}

// compute_block computes a block. Sums that are to be rounded stay with the worker
// until they are complete.
static void compute_block(const struct gemm *g, const struct block *b) {
	const product *p = g->p;
	const isa *isa = g->d->isa;
	tensor to = skip((tensor){p->c_format, p->c}, b->i0 * p->ldc + b->j0);
	int rounded = p->c_format == BF16;
	float *c = rounded ? b->sums : to.data;
	long ldc = rounded ? g->nc : p->ldc;
	for (long i = 0; rounded && p->add && i < b->rows; i++) isa->decode(BF16, c + i * ldc, skip(to, i * p->ldc).data, NULL, 0, b->cols);
	add_up(g, b, p, !g->own, c, ldc, p->add);
	for (long i = 0; i < p->also_count; i++) add_also(g, b, &p->also[i], c, ldc);
	for (long i = 0; rounded && i < b->rows; i++) isa->round(skip(to, i * p->ldc).data, c + i * ldc, b->cols);
}

static void gemm_body(team *t, int worker, void *job) {
	const struct gemm *g = job;
	const product *p = g->p;
	const products *k = g->kernels;
	struct block b = {.left = g->left + worker * g->mc * KC};
	if (g->panels) b.panels = g->panels + worker * g->nc * KC;
	if (g->sums) b.sums = g->sums + 2 * worker * g->mc * g->nc;
	if (k->begin) k->begin();
	for (long j0 = 0; j0 < p->n; j0 += g->right_cols) {
		long cols = least(g->right_cols, p->n - j0);
		if (!g->own) {
			for (long j, words = words_of(k, p); (j = team_claim(t) * k->nr) < cols;)
				for (long w = 0; w < words; w += KC) {
					long n = least(KC, words - w);
					pack_right(g, p, g->right + w * g->right_cols + j * n, j0 + j, w, n);
				}
			team_barrier(t);
		}
		// Down the rows first: the columns of the right operand stay in the cache.
		long down = parts(p->m, g->mc), tasks = parts(cols, g->nc) * down;
		for (long i; (i = team_claim(t)) < tasks;) {
			b.first = i / down * g->nc;
			b.i0 = i % down * g->mc;
			b.rows = least(g->mc, p->m - b.i0);
			b.j0 = j0 + b.first;
			b.cols = least(g->nc, cols - b.first);
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

// few reports whether a product is computed without packing: it has few rows, and
// k runs along those of both operands, or along those of a and down b's columns.
static int few(const product *p) {
	int dots = p->b_k == 1 && (p->b_col == p->k || !p->format), strips = p->b_col == 1 && p->alpha == 1 && !p->bias && (p->b_k == p->n || !p->format);
	return p->m <= FEW_ROWS && p->a_k == 1 && (dots || strips);
}

static void multiply_floats(cpu *d, const product *p) {
	int wide = p->m * p->n * p->k >= WORTH_A_TEAM;
	if (p->b_k == 1)
		each(d, parts(p->n, DOTS_COLS), wide, dots_task, (void *)p);
	else
		each(d, parts(p->n, STRIP_COLS), wide, strips_task, (void *)p);
}

// A few is a product of few rows, and the same with floats for a and c.
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

// multiply_few widens a and rounds c where they are narrow.
static void multiply_few(cpu *d, const product *p) {
	struct few f = {p, *p};
	if (p->a_format) {
		f.q.a = scratch(d, WIDE_LEFT, 4 * (size_t)(p->m * p->k));
		f.q.a_format = F32, f.q.a_row = p->k;
	}
	if (p->c_format) {
		f.q.c = scratch(d, WIDE_RESULT, 4 * (size_t)(p->m * p->n));
		f.q.c_format = F32, f.q.ldc = p->n;
	}
	if (p->a_format || p->c_format) each(d, p->m, 0, widen_task, &f);
	multiply_floats(d, &f.q);
	for (long i = 0; i < p->also_count; i++) {
		product also = p->also[i];
		also.c = (float *)f.q.c + also.row * f.q.ldc, also.ldc = f.q.ldc, also.add = 1;
		multiply_floats(d, &also);
	}
	if (p->c_format) each(d, p->m, 0, round_task, &f);
}

void multiply(cpu *d, const product *p) {
	if (p->m == 0 || p->n == 0 || p->k == 0) return; // with nothing to sum c is added to, and stays
	int unpacked = few(p);
	for (long i = 0; i < p->also_count; i++) unpacked = unpacked && few(&p->also[i]) && !p->also[i].a_format && p->also[i].dropout == 0;
	if (unpacked) {
		multiply_few(d, p);
		return;
	}
	const products *k = d->bf16 ? &d->isa->bf16 : &d->isa->fp32;
	long workers = team_workers(d->team);
	struct gemm g = {.d = d, .p = p, .kernels = k, .mc = parts(MC, k->mr) * k->mr, .nc = NC / k->nr * k->nr};
	g.own = p->m <= g.mc;
	// Enough blocks that the last ones end together.
	long enough = 4 * workers;
	while (parts(p->m, g.mc) * parts(p->n, g.nc) < enough && g.nc > 2 * k->nr) g.nc = parts(g.nc / 2, k->nr) * k->nr;
	while (!g.own && parts(p->m, g.mc) * parts(p->n, g.nc) < enough && g.mc > 2 * k->mr) g.mc -= k->mr;
	g.right_cols = g.own ? p->n : least(parts(p->n, k->nr), RIGHT_WORDS / words_of(k, p) / k->nr + 1) * k->nr;
	g.left = scratch(d, PACKED_LEFT, 4 * (size_t)(workers * g.mc * KC));
	if (!g.own) g.right = scratch(d, PACKED_RIGHT, 4 * (size_t)(g.right_cols * words_of(k, p)));
	if (g.own || p->also_count) g.panels = scratch(d, PANELS, 4 * (size_t)(workers * g.nc * KC));
	if (p->c_format || p->also_count) g.sums = scratch(d, SUMS, 8 * (size_t)(workers * g.mc * g.nc));
	region(d, p->m * p->n * p->k >= WORTH_A_TEAM, gemm_body, &g);
}
