// Products of flash_pairs.h's operands on the tile registers, which load either
// kind as it lies, rows apart by any stride: two by two tiles of sums at a time.
INLINE void NAME(some_tiles)(const int TALL, const int WIDE, float *c, long ldc, const uint32_t *a, long lda, const uint32_t *b, long ldb, long words, int add) {
	if (add) {
		_tile_loadd(0, c, 4 * ldc);
		if (WIDE) _tile_loadd(1, c + EDGE, 4 * ldc);
		if (TALL) _tile_loadd(2, c + EDGE * ldc, 4 * ldc);
		if (TALL && WIDE) _tile_loadd(3, c + EDGE * ldc + EDGE, 4 * ldc);
	} else {
		_tile_zero(0);
		if (WIDE) _tile_zero(1);
		if (TALL) _tile_zero(2);
		if (TALL && WIDE) _tile_zero(3);
	}
	for (long k = 0; k < words; k += EDGE) {
		_tile_loadd(4, a + k, 4 * lda);
		_tile_loadd(6, b + k * ldb, 4 * ldb);
		_tile_dpbf16ps(0, 4, 6);
		if (WIDE) {
			_tile_loadd(7, b + k * ldb + EDGE, 4 * ldb);
			_tile_dpbf16ps(1, 4, 7);
		}
		if (TALL) {
			_tile_loadd(5, a + EDGE * lda + k, 4 * lda);
			_tile_dpbf16ps(2, 5, 6);
			if (WIDE) _tile_dpbf16ps(3, 5, 7);
		}
	}
	_tile_stored(0, c, 4 * ldc);
	if (WIDE) _tile_stored(1, c + EDGE, 4 * ldc);
	if (TALL) _tile_stored(2, c + EDGE * ldc, 4 * ldc);
	if (TALL && WIDE) _tile_stored(3, c + EDGE * ldc + EDGE, 4 * ldc);
}

static void NAME(product_pairs)(float *c, long ldc, left_operand a, const void *b, long ldb, long m, long n, long k, int add) {
	const uint32_t *left = a.at, *right = b;
	long lda = a.row;
	for (long i = 0; i < m; i += SIDE)
		for (long j = 0; j < n; j += SIDE) {
			float *to = c + i * ldc + j;
			const uint32_t *l = left + i * lda, *r = right + j;
			if (m - i > EDGE && n - j > EDGE)
				NAME(some_tiles)(1, 1, to, ldc, l, lda, r, ldb, k, add);
			else if (m - i > EDGE)
				NAME(some_tiles)(1, 0, to, ldc, l, lda, r, ldb, k, add);
			else if (n - j > EDGE)
				NAME(some_tiles)(0, 1, to, ldc, l, lda, r, ldb, k, add);
			else
				NAME(some_tiles)(0, 0, to, ldc, l, lda, r, ldb, k, add);
		}
}
