// Products of flash_pairs.h's operands by VDPBF16PS: four rows by four vectors of
// sums stay in registers.
INLINE void NAME(some_pairs)(const int COLS, float *c, long ldc, const uint32_t *a, long lda, const uint32_t *b, long ldb, long words, int add) {
	__m512 s[4][COLS];
	for (int i = 0; i < 4; i++)
		for (int j = 0; j < COLS; j++) s[i][j] = add ? _mm512_loadu_ps(c + i * ldc + j * LANES) : _mm512_setzero_ps();
	for (long k = 0; k < words; k++, b += ldb) {
		__m512bh v[COLS];
		for (int j = 0; j < COLS; j++) v[j] = (__m512bh)_mm512_loadu_si512(b + j * LANES);
		for (int i = 0; i < 4; i++) {
			__m512bh x = (__m512bh)_mm512_set1_epi32((int32_t)a[i * lda + k]);
			for (int j = 0; j < COLS; j++) s[i][j] = _mm512_dpbf16_ps(s[i][j], x, v[j]);
		}
	}
	for (int i = 0; i < 4; i++)
		for (int j = 0; j < COLS; j++) _mm512_storeu_ps(c + i * ldc + j * LANES, s[i][j]);
}

static void NAME(product_pairs)(float *c, long ldc, left_operand a, const void *b, long ldb, long m, long n, long k, int add) {
	const uint32_t *left = a.at, *right = b;
	long lda = a.row;
	for (long i = 0; i < m; i += 4) {
		long j = 0;
		for (; j + 4 * LANES <= n; j += 4 * LANES) NAME(some_pairs)(4, c + i * ldc + j, ldc, left + i * lda, lda, right + j, ldb, k, add);
		for (; j < n; j += LANES) NAME(some_pairs)(1, c + i * ldc + j, ldc, left + i * lda, lda, right + j, ldb, k, add);
	}
}
