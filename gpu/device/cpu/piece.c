// Products small enough for one task, such as a block of queries with one of
// keys. Float32 needs no packing at this size; bfloat16 is worth it where the
// processor multiplies pairs.
#include "kernels.h"

static const products *paired(const cpu *d) { return d->bf16 && d->isa->bf16.pairs == 2 ? &d->isa->bf16 : NULL; }

long piece_words(const cpu *d, long m, long n, long k) {
	const products *p = paired(d);
	if (!p) return m * k + k * n; // for operands that are widened
	long depth = parts(k, p->pairs * p->multiple) * p->multiple;
	return (parts(m, p->mr) * p->mr + parts(n, p->nr) * p->nr) * depth;
}

void piece_begin(const cpu *d) {
	const products *p = paired(d);
	if (p && p->begin) p->begin();
}

void piece_end(const cpu *d) {
	const products *p = paired(d);
	if (p && p->end) p->end();
}

// widened copies rows of bfloat16 to floats side by side.
static const float *widened(const cpu *d, float *to, const uint16_t *x, long ldx, long rows, long n) {
	for (long i = 0; i < rows; i++) d->isa->decode(BF16, to + i * n, x + i * ldx, NULL, 0, n);
	return to;
}

void piece_of(const cpu *d, uint32_t *packed, float *c, long ldc, int a_format, const void *a, long a_row, long a_col, int b_format, const void *b, long ldb, long m, long n, long k, int add) {
	const products *p = paired(d);
	if (!p) {
		float *room = (float *)(void *)packed;
		if (a_format == BF16 && a_col == 1)
			a = widened(d, room, a, a_row, m, k), a_row = k;
		else if (a_format == BF16)
			a = widened(d, room, a, a_col, k, m), a_col = m;
		if (b_format == BF16) b = widened(d, room + m * k, b, ldb, k, n), ldb = n;
		d->isa->block(c, ldc, a, a_row, a_col, b, ldb, m, n, k, add);
		return;
	}
	long depth = parts(k, p->pairs * p->multiple) * p->multiple;
	uint32_t *left = packed, *right = packed + parts(m, p->mr) * p->mr * depth;
	for (long i = 0; i < m; i += p->mr) p->left(a_format, left + i * depth, p->mr, number(a_format, a, i * a_row), a_row, a_col, least(p->mr, m - i), k);
	for (long j = 0; j < n; j += p->nr) p->right(b_format, right + j * depth, p->nr, number(b_format, b, j), 1, ldb, least(p->nr, n - j), k);
	for (long j = 0; j < n; j += p->nr)
		for (long i = 0; i < m; i += p->mr)
			p->tile(depth, left + i * depth, right + j * depth, c + i * ldc + j, ldc, least(p->mr, m - i), least(p->nr, n - j), 1, add, NULL);
}

void piece(const cpu *d, uint32_t *packed, float *c, long ldc, const float *a, long a_row, long a_col, const float *b, long ldb, long m, long n, long k, int add) {
	piece_of(d, packed, c, ldc, F32, a, a_row, a_col, F32, b, ldb, m, n, k, add);
}
