// Weights as they are stored (device.Format): kernels that widen a run of a row
// to floats, and products of few rows that read each byte of the weights once.

#ifndef NARROW_H
#define NARROW_H
typedef uint32_t uvec __attribute__((vector_size(4 * LANES), may_alias));
typedef uint64_t wide_pair __attribute__((vector_size(4 * LANES)));

// halves, bytes_signed and bytes_pair widen LANES numbers of 16 bits, LANES of
// eight, and LANES/2 of eight to twice the width of the others. The compiler's
// own conversion between such widths goes number by number.
INLINE uvec halves(const uint8_t *p) {
#if LANES == 16
	return (uvec)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p));
#elif LANES == 8
	return (uvec)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
#else
	uvec v;
	uint16_t h[LANES];
	memcpy(h, p, sizeof h);
	for (int i = 0; i < LANES; i++) v[i] = h[i];
	return v;
#endif
}

INLINE ivec bytes_signed(const uint8_t *p) {
#if LANES == 16
	return (ivec)_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
#elif LANES == 8
	return (ivec)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
#else
	ivec v;
	for (int i = 0; i < LANES; i++) v[i] = (int8_t)p[i];
	return v;
#endif
}

INLINE wide_pair bytes_pair(const uint8_t *p) {
#if LANES == 16
	return (wide_pair)_mm512_cvtepu8_epi64(_mm_loadl_epi64((const __m128i *)(const void *)p));
#elif LANES == 8
	return (wide_pair)_mm256_cvtepu8_epi64(_mm_loadu_si32(p));
#else
	wide_pair v;
	for (int i = 0; i < LANES / 2; i++) v[i] = p[i];
	return v;
#endif
}

// nibbles spreads LANES/2 bytes over LANES words, the upper half of each first:
// each half byte ends in the top four bits of its word.
INLINE uvec nibbles(const uint8_t *p) {
	wide_pair w = bytes_pair(p);
	return (uvec)(w << 24 | w << 60);
}

INLINE vec widened_bf16(const uint8_t *p) { return (vec)(halves(p) << 16); }

INLINE vec widened_f16(const uint8_t *p) {
#if LANES == 16
	return (vec)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
#else
	uvec bits = halves(p), magnitude = bits & 0x7fff;
	// The exponents differ by 112, and that of infinity is the largest of both.
	uvec v = (uvec)((vec)(magnitude << 13) * 0x1p112f);
	v |= (uvec)(magnitude >= 0x7c00) & 0x7f800000;
	return (vec)(v | (bits & 0x8000) << 16);
#endif
}

INLINE vec widened_int8(const uint8_t *p) { return __builtin_convertvector(bytes_signed(p), vec); }

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

// nf4_values_at looks the values up; at is below 16.
INLINE vec nf4_values_at(uvec at) {
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

INLINE vec widened_nf4(const uint8_t *p) { return nf4_values_at(nibbles(p) >> 28); }

// bytes_unsigned widens LANES numbers of eight bits.
INLINE uvec bytes_unsigned(const uint8_t *p) {
#if LANES == 16
	return (uvec)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
#elif LANES == 8
	return (uvec)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
#else
	uvec v;
	for (int i = 0; i < LANES; i++) v[i] = p[i];
	return v;
#endif
}

// split takes 2·LANES numbers apart into those at even and those at odd places.
INLINE void split(vec a, vec b, vec *even, vec *odd) {
#if LANES == 16
	const ivec at = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30};
	*even = (vec)_mm512_permutex2var_ps((__m512)a, (__m512i)at, (__m512)b);
	*odd = (vec)_mm512_permutex2var_ps((__m512)a, (__m512i)(at + 1), (__m512)b);
#elif LANES == 8
	*even = (vec)_mm256_permute4x64_epi64((__m256i)_mm256_shuffle_ps((__m256)a, (__m256)b, 0x88), 0xd8);
	*odd = (vec)_mm256_permute4x64_epi64((__m256i)_mm256_shuffle_ps((__m256)a, (__m256)b, 0xdd), 0xd8);
#else
	vec e = a, o = a;
	for (int i = 0; i < LANES / 2; i++) {
		e[i] = a[2 * i];
		o[i] = a[2 * i + 1];
		e[i + LANES / 2] = b[2 * i];
		o[i + LANES / 2] = b[2 * i + 1];
	}
	*even = e;
	*odd = o;
#endif
}

// widened_split is 2·LANES numbers of a row of half bytes from number i on, a
// multiple of that, even places and odd ones apart: cheaper than in order.
INLINE void widened_split(const int format, const uint8_t *row, const float *scales, long i, vec *even, vec *odd) {
	uvec b = bytes_unsigned(row + i / 2);
	if (format == INT4) {
		*even = __builtin_convertvector((ivec)(b << 24) >> 28, vec);
		*odd = __builtin_convertvector((ivec)(b << 28) >> 28, vec);
	} else {
		*even = nf4_values_at(b >> 4) * scales[i / NF4_BLOCK];
		*odd = nf4_values_at(b & 15) * scales[i / NF4_BLOCK];
	}
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

INLINE int half_bytes(const int format) { return format == INT4 || format == NF4; }
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
	long i = 0;
	for (; half_bytes(format) && i + 2 * LANES <= k; i += 2 * LANES) {
		vec even[4], odd[4];
		for (int m = 0; m < M; m++) split(load(x + m * ldx + i), load(x + m * ldx + i + LANES), &even[m], &odd[m]);
		for (int r = 0; r < R; r++) {
			vec u, v;
			widened_split(format, w + r * row, scales + r * scales_row, i, &u, &v);
			for (int m = 0; m < M; m++) {
				s[m][r] += even[m] * u;
				s[m][r] += odd[m] * v;
			}
		}
	}
	for (; i < whole; i += LANES) {
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
