// Weights as they are stored (device.Format): kernels that widen a run of a row
// to floats, and products of few rows that read each byte of the weights once.

#ifndef NARROW_H
#define NARROW_H
enum { STEP = 2 * LANES }; // numbers that are widened at a time

// The values of device.NF4Values.
static const float nf4_values[16] = {
	-1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f,
	-0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.0f,
	0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
	0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f,
};

INLINE int half_bytes(const int format) { return format == INT4 || format == NF4; }

// A row's scale multiplies its whole sum, a block's those of the block.
INLINE int row_scaled(const int format) { return format == INT8 || format == INT4; }

// widened is STEP numbers of a row from number i on, a multiple of STEP, without
// their scale: in order, but of half bytes those at even places and those at odd
// ones.
INLINE void widened(const int format, const uint8_t *row, long i, vec to[2]) {
	const uint8_t *p = row + row_bytes(format, i);
	ivec b;
	switch (format) {
	case BF16:
		to[0] = (vec)(halves(p) << 16);
		to[1] = (vec)(halves(p + 2 * LANES) << 16);
		break;
	case F16:
		to[0] = f16_values(p);
		to[1] = f16_values(p + 2 * LANES);
		break;
	case INT8:
		to[0] = __builtin_convertvector(bytes_signed(p), vec);
		to[1] = __builtin_convertvector(bytes_signed(p + LANES), vec);
		break;
	case INT4:
		b = bytes_signed(p); // the first of two is the upper half
		to[0] = __builtin_convertvector(b >> 4, vec);
		to[1] = __builtin_convertvector(b << 28 >> 28, vec);
		break;
	case NF4:
		to[0] = lookup(nf4_values, bytes_unsigned(p) >> 4);
		to[1] = lookup(nf4_values, bytes_unsigned(p));
		break;
	}
}

// widened_tail is the same for the last n < STEP numbers; the others are of no
// matter, but finite.
INLINE void widened_tail(const int format, const uint8_t *row, long i, long n, vec to[2]) {
	uint8_t t[2 * STEP] = {0};
	memcpy(t, row + row_bytes(format, i), (size_t)row_bytes(format, n));
	widened(format, t, 0, to);
}

// facing is the n ≥ STEP or fewer numbers of x that widened ones are multiplied with.
INLINE void facing(const int format, const float *x, long n, vec to[2]) {
	to[0] = get(x, n);
	to[1] = get(x + LANES, n - LANES);
	if (half_bytes(format)) split(to[0], to[1], &to[0], &to[1]);
}
#endif

INLINE void NAME(decode_as)(const int format, float *dst, const uint8_t *row, const float *scales, long from, long n) {
	for (long i = 0; i < n; i += STEP) {
		vec v[2], scale = spread(row_scaled(format) ? *scales : format == NF4 ? scales[(from + i) / NF4_BLOCK] : 1);
		if (i + STEP <= n)
			widened(format, row, from + i, v);
		else
			widened_tail(format, row, from + i, n - i, v);
		if (half_bytes(format)) join(v[0], v[1], &v[0], &v[1]);
		put(dst + i, v[0] * scale, n - i);
		put(dst + i + LANES, v[1] * scale, n - i - LANES);
	}
}

static void NAME(decode)(int format, float *dst, const void *row, const float *scales, long from, long n) {
	switch (format) {
	case BF16: NAME(decode_as)(BF16, dst, row, scales, from, n); break;
	case F16: NAME(decode_as)(F16, dst, row, scales, from, n); break;
	case INT8: NAME(decode_as)(INT8, dst, row, scales, from, n); break;
	case INT4: NAME(decode_as)(INT4, dst, row, scales, from, n); break;
	case NF4: NAME(decode_as)(NF4, dst, row, scales, from, n); break;
	}
}

// As some_dots: R rows of w against M rows of x. What shares a scale is summed by
// itself: of NF4 a block, of the others the row.
INLINE void NAME(some_narrow_dots)(const int format, const int M, const int R, float *y, long ldy, const float *x, long ldx, const uint8_t *w, const float *scales, long k, float alpha, int add, const float *bias) {
	vec sums[4][4];
	for (int m = 0; m < M; m++)
		for (int r = 0; r < R; r++) sums[m][r] = (vec){0};
	const long row = row_bytes(format, k), row_has = row_scales(format, k), run = format == NF4 ? NF4_BLOCK : k;
	for (long from = 0; from < k; from += run) {
		long end = from + run < k ? from + run : k, i = from;
		vec s[4][4], v[4][2], u[2];
		for (int m = 0; m < M; m++)
			for (int r = 0; r < R; r++) s[m][r] = (vec){0};
		for (; i + STEP <= end; i += STEP) {
			for (int m = 0; m < M; m++) facing(format, x + m * ldx + i, STEP, v[m]);
			for (int r = 0; r < R; r++) {
				widened(format, w + r * row, i, u);
				for (int m = 0; m < M; m++) {
					s[m][r] += v[m][0] * u[0];
					s[m][r] += v[m][1] * u[1];
				}
			}
		}
		if (i < end) {
			for (int m = 0; m < M; m++) facing(format, x + m * ldx + i, end - i, v[m]);
			for (int r = 0; r < R; r++) {
				widened_tail(format, w + r * row, i, end - i, u);
				for (int m = 0; m < M; m++) s[m][r] += v[m][0] * u[0] + v[m][1] * u[1];
			}
		}
		for (int m = 0; m < M; m++)
			for (int r = 0; r < R; r++) sums[m][r] += s[m][r] * (format == NF4 ? scales[r * row_has + from / NF4_BLOCK] : 1);
	}
	for (int m = 0; m < M; m++)
		for (int r = 0; r < R; r++) {
			float *to = y + m * ldy + r, sum = alpha * sum_lanes(sums[m][r]);
			if (row_scaled(format)) sum *= scales[r];
			*to = sum + (add ? *to : bias ? bias[r] : 0);
		}
}

INLINE void NAME(narrow_dots_as)(const int format, float *y, long ldy, const float *x, long ldx, const uint8_t *w, const float *scales, long m, long n, long k, float alpha, int add, const float *bias) {
	long j = 0, row = row_bytes(format, k), row_has = row_scales(format, k);
#define DOTS(M, R)                                                                                                 \
	for (; j + R <= n; j += R)                                                                                 \
	NAME(some_narrow_dots)(format, M, R, y + j, ldy, x, ldx, w + j * row, scales + j * row_has, k, alpha, add, \
	                       bias ? bias + j : NULL)
	switch (m) {
	case 1: DOTS(1, 4); DOTS(1, 1); break;
	case 2: DOTS(2, 4); DOTS(2, 1); break;
	case 3: DOTS(3, 4); DOTS(3, 1); break;
	case 4: DOTS(4, 4); DOTS(4, 1); break;
	}
#undef DOTS
}

static void NAME(narrow_dots)(int format, float *y, long ldy, const float *x, long ldx, const void *w, const float *scales, long m, long n, long k, float alpha, int add, const float *bias) {
	switch (format) {
	case BF16: NAME(narrow_dots_as)(BF16, y, ldy, x, ldx, w, scales, m, n, k, alpha, add, bias); break;
	case F16: NAME(narrow_dots_as)(F16, y, ldy, x, ldx, w, scales, m, n, k, alpha, add, bias); break;
	case INT8: NAME(narrow_dots_as)(INT8, y, ldy, x, ldx, w, scales, m, n, k, alpha, add, bias); break;
	case INT4: NAME(narrow_dots_as)(INT4, y, ldy, x, ldx, w, scales, m, n, k, alpha, add, bias); break;
	case NF4: NAME(narrow_dots_as)(NF4, y, ldy, x, ldx, w, scales, m, n, k, alpha, add, bias); break;
	}
}

static void NAME(round)(uint16_t *dst, const float *src, long n) {
	for (long i = 0; i < n; i += LANES) put_bf16(dst + i, get(src + i, n - i), n - i);
}
