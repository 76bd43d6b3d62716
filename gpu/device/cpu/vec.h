// Vectors of LANES floats, in the compiler's own notation, so that one source
// serves every instruction set. The including file defines LANES, and NAME to
// give functions a suffix.
#include <math.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

typedef float vec __attribute__((vector_size(4 * LANES), may_alias));
typedef float vec_unaligned __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t ivec __attribute__((vector_size(4 * LANES), may_alias));
typedef double dvec __attribute__((vector_size(8 * LANES)));

#define INLINE static inline __attribute__((always_inline, unused))

// x - 0 is x even for -0, where x + 0 is not.
INLINE vec spread(float x) { return x - (vec){0}; }
INLINE vec load(const float *p) { return *(const vec_unaligned *)p; }
INLINE void store(float *p, vec v) { *(vec_unaligned *)p = v; }

// get and put are load and store of the first n lanes; the others are 0 and
// left alone. They touch no memory beyond the n.
INLINE vec get(const float *p, long n) {
	if (n >= LANES) return load(p);
	if (n <= 0) return (vec){0};
#if LANES == 16
	return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#else
	float t[LANES] = {0};
	memcpy(t, p, 4 * (size_t)n);
	return load(t);
#endif
}

INLINE void put(float *p, vec v, long n) {
	if (n >= LANES) {
		store(p, v);
		return;
	}
	if (n <= 0) return;
#if LANES == 16
	_mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#else
	float t[LANES];
	store(t, v);
	memcpy(p, t, 4 * (size_t)n);
#endif
}

INLINE vec choose(ivec yes, vec a, vec b) { return (vec)(((ivec)a & yes) | ((ivec)b & ~yes)); }
INLINE vec larger(vec a, vec b) { return choose(a > b, a, b); }

INLINE vec square_root(vec x) {
#if LANES == 16
	return (vec)_mm512_sqrt_ps((__m512)x);
#elif LANES == 8
	return (vec)_mm256_sqrt_ps((__m256)x);
#else
	for (int i = 0; i < LANES; i++) x[i] = sqrtf(x[i]);
	return x;
#endif
}

// sum_lanes adds in halves: the order is part of the result.
INLINE float sum_lanes(vec v) {
#if LANES == 16
	return _mm512_reduce_add_ps((__m512)v); // in halves, too
#endif
	float t[LANES];
	store(t, v);
	for (int half = LANES / 2; half; half /= 2)
		for (int i = 0; i < half; i++) t[i] += t[i + half];
	return t[0];
}

INLINE float max_lanes(vec v) {
#if LANES == 16
	return _mm512_reduce_max_ps((__m512)v);
#endif
	float top = v[0];
	for (int i = 1; i < LANES; i++) top = v[i] > top ? v[i] : top;
	return top;
}

// exponential is eˣ within 2 ulp for |x| < 87, its limits held beyond:
// 2ⁿ·eʳ with n = round(x/ln 2), ln 2 in two parts so that r is exact, and the
// Taylor polynomial of degree 7 for |r| ≤ ln 2 / 2.
INLINE vec exponential(vec x) {
	x = choose(x > 88.0f, spread(88.0f), x);
	x = choose(x < -87.0f, spread(-87.0f), x);
	const float round = 0x1.8p23f; // adding it leaves no fraction bits
	vec n = (x * 0x1.715476p0f + round) - round;
	vec r = x - n * 0x1.62e4p-1f;
	r = r - n * 0x1.7f7d1cp-20f;
	vec p = spread(1.0f / 5040);
	p = p * r + 1.0f / 720;
	p = p * r + 1.0f / 120;
	p = p * r + 1.0f / 24;
	p = p * r + 1.0f / 6;
	p = p * r + 0.5f;
	p = p * r + 1.0f;
	p = p * r + 1.0f;
	ivec power = (__builtin_convertvector(n, ivec) + 127) << 23;
	return p * (vec)power;
}
