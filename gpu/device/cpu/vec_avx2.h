// vec.h's functions on AVX2 and F16C: eight lanes.
#include <immintrin.h>

INLINE vec get(const float *p, long n) {
	static const int32_t lanes[2 * LANES] = {-1, -1, -1, -1, -1, -1, -1, -1};
	if (n >= LANES) return load(p);
	if (n <= 0) return (vec){0};
	return (vec)_mm256_maskload_ps(p, (__m256i)load((const float *)(const void *)(lanes + LANES - n)));
}

// put goes by halves: a masked store is slow on AMD's processors.
INLINE void put(float *p, vec v, long n) {
	if (n >= LANES) {
		store(p, v);
		return;
	}
	if (n <= 0) return;
	__m128 rest = _mm256_castps256_ps128((__m256)v);
	if (n & 4) {
		_mm_storeu_ps(p, rest);
		p += 4;
		rest = _mm256_extractf128_ps((__m256)v, 1);
	}
	if (n & 2) {
		_mm_storel_pi((__m64 *)(void *)p, rest);
		p += 2;
		rest = _mm_movehl_ps(rest, rest);
	}
	if (n & 1) _mm_store_ss(p, rest);
}

INLINE vec larger(vec a, vec b) { return (vec)_mm256_max_ps((__m256)a, (__m256)b); }
INLINE vec smaller(vec a, vec b) { return (vec)_mm256_min_ps((__m256)a, (__m256)b); }
INLINE vec square_root(vec x) { return (vec)_mm256_sqrt_ps((__m256)x); }

INLINE float sum_lanes(vec v) {
	__m128 s = _mm_add_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
	s = _mm_add_ps(s, _mm_movehl_ps(s, s));
	return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

INLINE float max_lanes(vec v) {
	__m128 s = _mm_max_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
	s = _mm_max_ps(s, _mm_movehl_ps(s, s));
	return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

INLINE void transpose(vec r[LANES]) {
	__m256 t[8];
	__m256 *v = (__m256 *)r;
#pragma GCC unroll 8
	for (int i = 0; i < 8; i += 2) { // pairs of rows: 2×2 within each 128 bits
		t[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
		t[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
	}
#pragma GCC unroll 8
	for (int i = 0; i < 8; i += 4) { // four rows: 4×4 within each 128 bits
		v[i + 0] = (__m256)_mm256_unpacklo_pd((__m256d)t[i], (__m256d)t[i + 2]);
		v[i + 1] = (__m256)_mm256_unpackhi_pd((__m256d)t[i], (__m256d)t[i + 2]);
		v[i + 2] = (__m256)_mm256_unpacklo_pd((__m256d)t[i + 1], (__m256d)t[i + 3]);
		v[i + 3] = (__m256)_mm256_unpackhi_pd((__m256d)t[i + 1], (__m256d)t[i + 3]);
	}
#pragma GCC unroll 8
	for (int i = 0; i < 4; i++) { // then the 128-bit halves
		__m256 low = _mm256_permute2f128_ps(v[i], v[i + 4], 0x20);
		v[i + 4] = _mm256_permute2f128_ps(v[i], v[i + 4], 0x31);
		v[i] = low;
	}
}

INLINE uvec halves(const uint8_t *p) { return (uvec)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)); }
INLINE uvec get_halves(const uint16_t *p, long n) {
	if (n >= LANES) return halves((const uint8_t *)p);
	if (n <= 0) return (uvec){0};
	// Four, two and one of them, as n's bits say.
	uint64_t first = 0, rest = 0;
	if (n & 4) memcpy(&first, p, 8);
	const uint16_t *q = p + (n & 4);
	if (n & 2) memcpy(&rest, q, 4);
	if (n & 1) rest |= (uint64_t)q[n & 2] << 16 * (n & 2);
	__m128i all = n & 4 ? _mm_set_epi64x((long long)rest, (long long)first) : _mm_cvtsi64_si128((long long)rest);
	return (uvec)_mm256_cvtepu16_epi32(all);
}
INLINE void put_halves(uint16_t *p, uvec v, long n) {
	__m128i all = _mm_packus_epi32(_mm256_castsi256_si128((__m256i)v), _mm256_extracti128_si256((__m256i)v, 1));
	if (n >= LANES) {
		_mm_storeu_si128((__m128i *)(void *)p, all);
		return;
	}
	uint16_t t[LANES];
	_mm_storeu_si128((__m128i *)(void *)t, all);
	for (long i = 0; i < n; i++) p[i] = t[i];
}
INLINE ivec bytes_signed(const uint8_t *p) { return (ivec)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)); }
INLINE uvec bytes_unsigned(const uint8_t *p) { return (uvec)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)); }
INLINE vec f16_values(const uint8_t *p) { return (vec)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p)); }

// A permutation sees the lowest three bits of a lane, a blend its sign: there
// goes the fourth.
INLINE vec lookup(const float values[16], uvec at) {
	__m256 low = _mm256_permutevar8x32_ps((__m256)load(values), (__m256i)at);
	__m256 high = _mm256_permutevar8x32_ps((__m256)load(values + LANES), (__m256i)at);
	return (vec)_mm256_blendv_ps(low, high, (__m256)(at << 28));
}

INLINE void split(vec a, vec b, vec *even, vec *odd) {
	*even = (vec)_mm256_permute4x64_epi64((__m256i)_mm256_shuffle_ps((__m256)a, (__m256)b, 0x88), 0xd8);
	*odd = (vec)_mm256_permute4x64_epi64((__m256i)_mm256_shuffle_ps((__m256)a, (__m256)b, 0xdd), 0xd8);
}

INLINE void join(vec even, vec odd, vec *a, vec *b) {
	__m256 low = _mm256_unpacklo_ps((__m256)even, (__m256)odd), high = _mm256_unpackhi_ps((__m256)even, (__m256)odd);
	*a = (vec)_mm256_permute2f128_ps(low, high, 0x20);
	*b = (vec)_mm256_permute2f128_ps(low, high, 0x31);
}
