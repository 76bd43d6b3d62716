// Products whose right operand is a weight in a narrow format: pieces of it are
// widened to floats that stay in the first cache, and packed from there.
#include "kernels.h"

enum {
	WIDEST = 64, // lanes of a panel
	PIECE = 128, // depth that is widened at a time, whole words of every kernel, and as many as it wants
};

void pack_narrow(const isa *isa, const products *k, void *to, const product *p, long col, long lanes, long first_k, long depth) {
	float piece[WIDEST * PIECE], *dst = to;
	int along = p->b_k == 1; // the rows of the matrix run along the depth
	long i = along ? p->k : p->n, row = row_bytes(p->format, i), scales = row_scales(p->format, i);
	for (long at = 0; at < depth; at += PIECE) {
		long some = least(PIECE, depth - at), k_at = first_k + at;
		long first = along ? col : k_at, rows = along ? lanes : some, from = along ? k_at : col, n = along ? some : lanes;
		for (long r = 0; r < rows; r++)
			isa->decode(p->format, piece + r * (along ? PIECE : WIDEST), (const char *)p->b + (first + r) * row,
			         p->scales + (first + r) * scales, from, n);
		k->right(F32, dst + at / k->pairs * k->nr, k->nr, piece, along ? PIECE : 1, along ? 1 : WIDEST, lanes, some);
	}
}

void narrow_dots(const cpu *d, const product *p, long m, long rows, long j, long cols) {
	d->isa->narrow_dots(p->format, (float *)p->c + m * p->ldc + j, p->ldc, (const float *)p->a + m * p->a_row, p->a_row,
	                    (const char *)p->b + j * row_bytes(p->format, p->k), p->scales + j * row_scales(p->format, p->k),
	                    rows, cols, p->k, p->alpha, p->add, p->bias ? p->bias + j : NULL);
}
