// Numbers of a tensor, F32 or BF16, as vectors of floats. The format is a constant
// wherever these are inlined: BY_FORMAT and BY_FORMATS compile a kernel once for
// each format, or pair of them, into straight code of its own.
#define BY_FORMAT(f, a, ...) ((a) == F32 ? f(F32, __VA_ARGS__) : f(BF16, __VA_ARGS__))
#define BY_FORMATS(f, a, b, ...)                                                                   \
	((a) == F32 ? (b) == F32 ? f(F32, F32, __VA_ARGS__) : f(F32, BF16, __VA_ARGS__)            \
	            : (b) == F32 ? f(BF16, F32, __VA_ARGS__) : f(BF16, BF16, __VA_ARGS__))

#ifndef NUMBERS_H
#define NUMBERS_H

// to_bf16 is v rounded to the nearest bfloat16, ties to even, in the lower half of
// each lane.
INLINE uvec to_bf16(vec v) {
#ifdef BF16_PRODUCTS
	return (uvec)_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)v));
#else
	return (uvec)rounded(v) >> 16;
#endif
}

// take is LANES of n numbers from number i on; lanes beyond n are 0.
INLINE vec take(const int format, const void *p, long i, long n) {
	if (format == F32) return get((const float *)p + i, n - i);
	return (vec)(get_halves((const uint16_t *)p + i, n - i) << 16);
}

// give stores v there, rounded once, and returns it as it is stored.
INLINE vec give(const int format, void *p, long i, long n, vec v) {
	if (format == F32) {
		put((float *)p + i, v, n - i);
		return v;
	}
	uvec h = to_bf16(v);
	put_halves((uint16_t *)p + i, h, n - i);
	return (vec)(h << 16);
}
#endif
