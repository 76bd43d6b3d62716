// Operands of attention in bfloat16, two numbers a word: rows of a left operand
// have neighbours of the row together, a right one has neighbours of two rows.
// Needs AVX512_BF16 and flash.h.

static int NAME(softmax_pairs)(void *p, float *s, long lanes, long rows, const int32_t *limit, float scale, float *top, float *sum, float *keep) {
	return NAME(softmax_block)(2, p, s, lanes, rows, limit, scale, top, sum, keep);
}

static void NAME(gradient_pairs)(void *p, void *ds, void *down, const float *s, const float *dp, long lanes, long rows, const int32_t *limit, float scale, const float *lse, const float *delta) {
	NAME(gradient_block)(2, p, ds, down, s, dp, lanes, rows, limit, scale, lse, delta);
}

INLINE void NAME(rows_left_in)(const int format, void *to, long wide, const void *x, const long *at, long rows, long padded, long d) {
	for (long r = 0; r < padded; r++)
		for (long i = 0; i < wide; i += 2 * LANES) {
			const char *from = (const char *)x + (r < rows ? at[r] : 0) * number_bytes(format);
			__m512bh v = {0};
			if (r < rows) v = _mm512_cvtne2ps_pbh((__m512)take(format, from, i + LANES, d), (__m512)take(format, from, i, d));
			_mm512_storeu_si512((uint16_t *)to + r * wide + i, (__m512i)v);
		}
}

static void NAME(rows_left)(void *to, long wide, tensor x, const long *at, long rows, long padded, long d) {
	BY_FORMAT(NAME(rows_left_in), x.format, to, wide, x.data, at, rows, padded, d);
}

INLINE void NAME(rows_right_in)(const int format, float *to, long wide, const void *x, const long *at, long rows, long padded, long d) {
	for (long r = 0; r < padded; r += 2)
		for (long i = 0; i < wide; i += LANES) {
			vec v[2] = {{0}, {0}};
			for (int t = 0; t < 2 && r + t < rows; t++) v[t] = take(format, (const char *)x + at[r + t] * number_bytes(format), i, d);
			store(to + r / 2 * wide + i, pair(v[0], v[1]));
		}
}

static void NAME(rows_right)(void *to, long wide, tensor x, const long *at, long rows, long padded, long d) {
	BY_FORMAT(NAME(rows_right_in), x.format, to, wide, x.data, at, rows, padded, d);
}
