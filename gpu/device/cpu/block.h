// Products too small or too thin to pack for.

// dots computes R rows of w against M rows of x: each vector of w is loaded
// once, and R·M sums hide the latency of each other.
INLINE void NAME(some_dots)(const int M, const int R, float *y, long ldy, const float *x, long ldx, const float *w, long ldw, long k, float alpha, int add, const float *bias) {
	vec s[4][8];
	for (int m = 0; m < M; m++)
		for (int r = 0; r < R; r++) s[m][r] = (vec){0};
	long whole = k - k % LANES;
	for (long i = 0; i < whole; i += LANES) {
		vec v[4];
		for (int m = 0; m < M; m++) v[m] = load(x + m * ldx + i);
		for (int r = 0; r < R; r++) {
			vec u = load(w + r * ldw + i);
			for (int m = 0; m < M; m++) s[m][r] += v[m] * u;
		}
	}
	if (whole < k)
		for (int r = 0; r < R; r++) {
			vec u = get(w + r * ldw + whole, k - whole);
			for (int m = 0; m < M; m++) s[m][r] += get(x + m * ldx + whole, k - whole) * u;
		}
	for (int m = 0; m < M; m++)
		for (int r = 0; r < R; r++) {
			float *to = y + m * ldy + r;
			*to = alpha * sum_lanes(s[m][r]) + (add ? *to : bias ? bias[r] : 0);
		}
}

static void NAME(dots)(float *y, long ldy, const float *x, long ldx, const float *w, long ldw, long m, long n, long k, float alpha, int add, const float *bias) {
	long j = 0;
#define DOTS(M, R)                                                                                               \
	for (; j + R <= n; j += R)                                                                               \
	NAME(some_dots)(M, R, y + j, ldy, x, ldx, w + j * ldw, ldw, k, alpha, add, bias ? bias + j : NULL)
	switch (m) {
	case 1: DOTS(1, 8); DOTS(1, 1); break;
	case 2: DOTS(2, 4); DOTS(2, 1); break;
	case 3: DOTS(3, 4); DOTS(3, 1); break;
	case 4: DOTS(4, 4); DOTS(4, 1); break;
	}
#undef DOTS
}

// some_block is a ROWS×COLS·LANES piece of block, all of its sums in registers.
INLINE void NAME(some_block)(const int ROWS, const int COLS, float *c, long ldc, const float *a, long a_row, long a_col, const float *b, long ldb, long n, long k, int add) {
	vec s[6][4];
	for (int i = 0; i < ROWS; i++)
		for (int j = 0; j < COLS; j++) s[i][j] = add ? get(c + i * ldc + j * LANES, n - j * LANES) : (vec){0};
	for (long l = 0; l < k; l++, a += a_col, b += ldb) {
		vec v[4];
		for (int j = 0; j < COLS; j++) v[j] = get(b + j * LANES, n - j * LANES);
		for (int i = 0; i < ROWS; i++) {
			vec x = spread(a[i * a_row]);
			for (int j = 0; j < COLS; j++) s[i][j] += x * v[j];
		}
	}
	for (int i = 0; i < ROWS; i++)
		for (int j = 0; j < COLS; j++) put(c + i * ldc + j * LANES, s[i][j], n - j * LANES);
}

static void NAME(block)(float *c, long ldc, const float *a, long a_row, long a_col, const float *b, long ldb, long m, long n, long k, int add) {
	long i = 0;
	// COLS·LANES is passed as n where it is full, so that get and put fold away.
#define ROWS_OF(ROWS)                                                                                                         \
	for (; i + ROWS <= m; i += ROWS) {                                                                                    \
		long j = 0;                                                                                                   \
		float *ci = c + i * ldc;                                                                                      \
		const float *ai = a + i * a_row;                                                                              \
		for (; j + BLOCK_COLS * LANES <= n; j += BLOCK_COLS * LANES)                                                  \
			NAME(some_block)(ROWS, BLOCK_COLS, ci + j, ldc, ai, a_row, a_col, b + j, ldb, BLOCK_COLS *LANES, k, add); \
		for (; j + LANES <= n; j += LANES)                                                                            \
			NAME(some_block)(ROWS, 1, ci + j, ldc, ai, a_row, a_col, b + j, ldb, LANES, k, add);                  \
		if (j < n) NAME(some_block)(ROWS, 1, ci + j, ldc, ai, a_row, a_col, b + j, ldb, n - j, k, add);               \
	}
	ROWS_OF(BLOCK_ROWS)
	ROWS_OF(2)
	ROWS_OF(1)
#undef ROWS_OF
}
