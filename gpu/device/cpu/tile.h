// A tile multiplies a panel of MR rows with a panel of 2·LANES columns. Its
// MR×2 sums stay in registers from the first word of depth to the last.
// WORD is the type of a register of packed values, WORDS(p) loads one,
// ONE(p) spreads a single word, and MULADD(c, a, b) adds their product to c.

static void TILE(long depth, const void *left, const void *right, float *c, long ldc, long rows, long cols, float alpha, int add, const float *bias) {
	const float *a = left, *b = right;
	vec s[MR][2];
#pragma GCC unroll 16
	for (int i = 0; i < MR; i++) s[i][0] = s[i][1] = (vec){0};
	for (long k = 0; k < depth; k++, a += MR, b += 2 * LANES) {
		WORD b0 = WORDS(b), b1 = WORDS(b + LANES);
#pragma GCC unroll 16
		for (int i = 0; i < MR; i++) {
			WORD x = ONE(a + i);
			s[i][0] = MULADD(s[i][0], x, b0);
			s[i][1] = MULADD(s[i][1], x, b1);
		}
	}
	vec start0 = {0}, start1 = {0};
	if (bias) {
		start0 = get(bias, cols);
		start1 = get(bias + LANES, cols - LANES);
	}
	if (rows == MR && cols == 2 * LANES) {
#pragma GCC unroll 16
		for (int i = 0; i < MR; i++, c += ldc) {
			store(c, s[i][0] * alpha + (add ? load(c) : start0));
			store(c + LANES, s[i][1] * alpha + (add ? load(c + LANES) : start1));
		}
		return;
	}
#pragma GCC unroll 16
	for (int i = 0; i < MR; i++, c += ldc) {
		if (i >= rows) break;
		put(c, s[i][0] * alpha + (add ? get(c, cols) : start0), cols);
		if (cols > LANES) put(c + LANES, s[i][1] * alpha + (add ? get(c + LANES, cols - LANES) : start1), cols - LANES);
	}
}
