// Weights as they are stored (device.Format): kernels that widen a run of a row
// to floats, and products of few rows that read each byte of the weights once.

#ifndef NARROW_H
#define NARROW_H
typedef uint8_t bytes_each __attribute__((vector_size(LANES)));
typedef uint16_t halves_each __attribute__((vector_size(2 * LANES)));
typedef uint32_t uvec __attribute__((vector_size(4 * LANES), may_alias));
typedef int8_t signed_each __attribute__((vector_size(LANES)));
typedef uint8_t bytes_pair __attribute__((vector_size(LANES / 2)));
typedef uint64_t wide_pair __attribute__((vector_size(4 * LANES)));

// nibbles spreads LANES/2 bytes over LANES words, the upper half of each first:
// each half byte ends in the top four bits of its word.
INLINE uvec nibbles(const uint8_t *p) {
	bytes_pair b;
	memcpy(&b, p, sizeof b);
	wide_pair w = __builtin_convertvector(b, wide_pair);
	return (uvec)(w << 24 | w << 60);
}

INLINE vec widened_bf16(const uint8_t *p) {
	halves_each h;
	memcpy(&h, p, sizeof h);
	return (vec)(__builtin_convertvector(h, uvec) << 16);
}

INLINE vec widened_f16(const uint8_t *p) {
#if LANES == 16
	return (vec)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
#else
	halves_each h;
	memcpy(&h, p, sizeof h);
	uvec bits = __builtin_convertvector(h, uvec), magnitude = bits & 0x7fff;
	// The exponents differ by 112, and that of infinity is the largest of both.
	uvec v = (uvec)((vec)(magnitude << 13) * 0x1p112f);
	v |= (uvec)(magnitude >= 0x7c00) & 0x7f800000;
	return (vec)(v | (bits & 0x8000) << 16);
#endif
}

INLINE vec widened_int8(const uint8_t *p) {
	signed_each b;
	memcpy(&b, p, sizeof b);
	return __builtin_convertvector(__builtin_convertvector(b, ivec), vec);
}

INLINE vec widened_int4(const uint8_t *p) {
	return __builtin_convertvector((ivec)nibbles(p) >> 28, vec);
}

// The values of device.NF4Values.
static const float nf4_values[16] = {
	-1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f,
	-0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.0f,
	0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
	0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f,
};

INLINE vec widened_nf4(const uint8_t *p) {
	uvec at = nibbles(p) >> 28;
#if LANES == 16
	return (vec)_mm512_permutexvar_ps((__m512i)at, _mm512_loadu_ps(nf4_values));
#elif LANES == 8
	vec low = (vec)_mm256_permutevar8x32_ps((__m256)load(nf4_values), (__m256i)at);
	vec high = (vec)_mm256_permutevar8x32_ps((__m256)load(nf4_values + 8), (__m256i)at);
	return choose((ivec)(at > 7), high, low);
#else
	vec v;
	for (int i = 0; i < LANES; i++) v[i] = nf4_values[at[i]];
	return v;
#endif
}

// widened is the LANES numbers of a row from number i on, a multiple of LANES,
// without the scale that the whole row shares.
INLINE vec widened(const int format, const uint8_t *row, const float *scales, long i) {
	switch (format) {
	case BF16: return widened_bf16(row + 2 * i);
	case F16: return widened_f16(row + 2 * i);
	case INT8: return widened_int8(row + i);
	case INT4: return widened_int4(row + i / 2);
	default: return widened_nf4(row + i / 2) * scales[i / NF4_BLOCK];
	}
}

// widened_tail is the same for the last n < LANES numbers; the others are of no
// matter, but finite.
INLINE vec widened_tail(const int format, const uint8_t *row, const float *scales, long i, long n) {
	uint8_t t[2 * LANES] = {0};
	memcpy(t, row + row_bytes(format, i), (size_t)row_bytes(format, n));
	return widened(format, t, format == NF4 ? scales + i / NF4_BLOCK : NULL, 0);
}

INLINE int row_scaled(const int format) { return format == INT8 || format == INT4; }
#endif

INLINE void NAME(decode_as)(const int format, float *dst, const uint8_t *row, const float *scales, long from, long n) {
	vec s = spread(row_scaled(format) ? *scales : 1);
	long i = 0;
	for (; i + LANES <= n; i += LANES) store(dst + i, widened(format, row, scales, from + i) * s);
	if (i < n) put(dst + i, widened_tail(format, row, scales, from + i, n - i) * s, n - i);
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

// As some_dots: R rows of w against M rows of x.
INLINE void NAME(some_narrow_dots)(const int format, const int M, const int R, float *y, long ldy, const float *x, long ldx, const uint8_t *w, const float *scales, long k, float alpha, int add, const float *bias) {
	vec s[4][4];
	for (int m = 0; m < M; m++)
		for (int r = 0; r < R; r++) s[m][r] = (vec){0};
	long row = row_bytes(format, k), scales_row = row_scales(format, k), whole = k - k % LANES;
	for (long i = 0; i < whole; i += LANES) {
		vec v[4];
		for (int m = 0; m < M; m++) v[m] = load(x + m * ldx + i);
		for (int r = 0; r < R; r++) {
			vec u = widened(format, w + r * row, scales + r * scales_row, i);
			for (int m = 0; m < M; m++) s[m][r] += v[m] * u;
		}
	}
	if (whole < k)
		for (int r = 0; r < R; r++) {
			vec u = widened_tail(format, w + r * row, scales + r * scales_row, whole, k - whole);
			for (int m = 0; m < M; m++) s[m][r] += get(x + m * ldx + whole, k - whole) * u;
		}
	for (int m = 0; m < M; m++)
		for (int r = 0; r < R; r++) {
			float *to = y + m * ldy + r, sum = alpha * sum_lanes(s[m][r]);
			if (row_scaled(format)) sum *= scales[r];
			*to = sum + (add ? *to : bias ? bias[r] : 0);
		}
}

INLINE void NAME(narrow_dots_as)(const int format, float *y, long ldy, const float *x, long ldx, const uint8_t *w, const float *scales, long m, long n, long k, float alpha, int add, const float *bias) {
	long j = 0, row = row_bytes(format, k), scales_row = row_scales(format, k);
#define DOTS(M, R)                                                                                                    \
	for (; j + R <= n; j += R)                                                                                    \
	NAME(some_narrow_dots)(format, M, R, y + j, ldy, x, ldx, w + j * row, scales + j * scales_row, k, alpha, add, \
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
