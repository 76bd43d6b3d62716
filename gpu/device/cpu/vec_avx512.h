// vec.h's functions on AVX-512 (F, BW, DQ, VL): sixteen lanes.
#include <immintrin.h>

INLINE __mmask16 first_lanes(long n) { return (__mmask16)((1u << n) - 1); }

INLINE vec get(const float *p, long n) {
	if (n >= LANES) return load(p);
	if (n <= 0) return (vec){0};
	return (vec)_mm512_maskz_loadu_ps(first_lanes(n), p);
}

INLINE void put(float *p, vec v, long n) {
	if (n >= LANES)
		store(p, v);
	else if (n > 0)
		_mm512_mask_storeu_ps(p, first_lanes(n), (__m512)v);
}

INLINE vec larger(vec a, vec b) { return (vec)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE vec smaller(vec a, vec b) { return (vec)_mm512_min_ps((__m512)a, (__m512)b); }
INLINE vec square_root(vec x) { return (vec)_mm512_sqrt_ps((__m512)x); }
INLINE float sum_lanes(vec v) { return _mm512_reduce_add_ps((__m512)v); }
INLINE float max_lanes(vec v) { return _mm512_reduce_max_ps((__m512)v); }

INLINE void transpose(vec r[LANES]) {
	__m512 t[16];
	__m512 *v = (__m512 *)r;
#pragma GCC unroll 16
	for (int i = 0; i < 16; i += 2) { // pairs of rows: 2×2 within each 128 bits
		t[i] = _mm512_unpacklo_ps(v[i], v[i + 1]);
		t[i + 1] = _mm512_unpackhi_ps(v[i], v[i + 1]);
	}
#pragma GCC unroll 16
	for (int i = 0; i < 16; i += 4) { // four rows: 4×4 within each 128 bits
		v[i + 0] = (__m512)_mm512_unpacklo_pd((__m512d)t[i], (__m512d)t[i + 2]);
		v[i + 1] = (__m512)_mm512_unpackhi_pd((__m512d)t[i], (__m512d)t[i + 2]);
		v[i + 2] = (__m512)_mm512_unpacklo_pd((__m512d)t[i + 1], (__m512d)t[i + 3]);
		v[i + 3] = (__m512)_mm512_unpackhi_pd((__m512d)t[i + 1], (__m512d)t[i + 3]);
	}
#pragma GCC unroll 16
	for (int i = 0; i < 4; i++) { // then the 128-bit parts themselves
		__m512 even0 = _mm512_shuffle_f32x4(v[i], v[i + 4], 0x88), odd0 = _mm512_shuffle_f32x4(v[i], v[i + 4], 0xdd);
		__m512 even1 = _mm512_shuffle_f32x4(v[i + 8], v[i + 12], 0x88), odd1 = _mm512_shuffle_f32x4(v[i + 8], v[i + 12], 0xdd);
		t[i + 0] = _mm512_shuffle_f32x4(even0, even1, 0x88);
		t[i + 8] = _mm512_shuffle_f32x4(even0, even1, 0xdd);
		t[i + 4] = _mm512_shuffle_f32x4(odd0, odd1, 0x88);
		t[i + 12] = _mm512_shuffle_f32x4(odd0, odd1, 0xdd);
	}
#pragma GCC unroll 16
	for (int i = 0; i < 16; i++) v[i] = t[i];
}

INLINE uvec halves(const uint8_t *p) { return (uvec)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p)); }
INLINE uvec get_halves(const uint16_t *p, long n) {
	if (n >= LANES) return halves((const uint8_t *)p);
	if (n <= 0) return (uvec){0};
	return (uvec)_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(first_lanes(n), p));
}
INLINE void put_halves(uint16_t *p, uvec v, long n) {
	if (n > 0) _mm256_mask_storeu_epi16(p, n >= LANES ? 0xffff : first_lanes(n), _mm512_cvtepi32_epi16((__m512i)v));
}
INLINE ivec bytes_signed(const uint8_t *p) { return (ivec)_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)); }
INLINE uvec bytes_unsigned(const uint8_t *p) { return (uvec)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)); }
INLINE vec f16_values(const uint8_t *p) { return (vec)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p)); }
INLINE vec lookup(const float values[16], uvec at) { return (vec)_mm512_permutexvar_ps((__m512i)at, (__m512)load(values)); }

INLINE void split(vec a, vec b, vec *even, vec *odd) {
	const ivec at = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30};
	*even = (vec)_mm512_permutex2var_ps((__m512)a, (__m512i)at, (__m512)b);
	*odd = (vec)_mm512_permutex2var_ps((__m512)a, (__m512i)(at + 1), (__m512)b);
}

INLINE void join(vec even, vec odd, vec *a, vec *b) {
	const ivec at = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
	*a = (vec)_mm512_permutex2var_ps((__m512)even, (__m512i)at, (__m512)odd);
	*b = (vec)_mm512_permutex2var_ps((__m512)even, (__m512i)(at + 8), (__m512)odd);
}
