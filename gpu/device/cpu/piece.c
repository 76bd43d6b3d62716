// Products small enough for one task, such as a block of queries with one of
// keys. Float32 needs no packing at this size; bfloat16 is worth it where the
// processor multiplies pairs.
#include "kernels.h"

static const products *paired(const cpu *d) { return d->bf16 && d->isa->bf16.pairs == 2 ? &d->isa->bf16 : NULL; }

long piece_words(const cpu *d, long m, long n, long k) {
	const products *p = paired(d);
	if (!p) return 0;
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

void piece(const cpu *d, uint32_t *packed, float *c, long ldc, const float *a, long a_row, long a_col, const float *b, long ldb, long m, long n, long k, int add) {
	const products *p = paired(d);
	if (!p) {
		d->isa->block(c, ldc, a, a_row, a_col, b, ldb, m, n, k, add);
		return;
	}
	long depth = parts(k, p->pairs * p->multiple) * p->multiple;
	uint32_t *left = packed, *right = packed + parts(m, p->mr) * p->mr * depth;
	for (long i = 0; i < m; i += p->mr) p->left(left + i * depth, p->mr, a + i * a_row, a_row, a_col, least(p->mr, m - i), k);
	for (long j = 0; j < n; j += p->nr) p->right(right + j * depth, p->nr, b + j, 1, ldb, least(p->nr, n - j), k);
	for (long j = 0; j < n; j += p->nr)
		for (long i = 0; i < m; i += p->mr)
			p->tile(depth, left + i * depth, right + j * depth, c + i * ldc + j, ldc, least(p->mr, m - i), least(p->nr, n - j), 1, add, NULL);
}
