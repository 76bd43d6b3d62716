// Packing into words of two bfloat16 that follow each other in k: what both
// VDPBF16PS and TDPBF16PS multiply. Needs AVX512_BF16 and vec.h.

// pair puts bf16(even) in the low and bf16(odd) in the high half of each lane.
INLINE vec pair(vec even, vec odd) {
	__m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)even));
	__m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)odd));
	return (vec)_mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

// pack_pairs is pack for words of two successive k; an odd last k is paired
// with 0.
static void pack_pairs(void *to, long width, const float *src, long lane_stride, long k_stride, long lanes, long k) {
	float *dst = to;
	if (k_stride != 1) {
		for (long i = 0; i < k; i += 2)
			for (long l = 0; l < width; l += LANES) {
				const float *from = src + i * k_stride + l;
				vec odd = i + 1 < k ? get(from + k_stride, lanes - l) : (vec){0};
				put(dst + i / 2 * width + l, pair(get(from, lanes - l), odd), width - l);
			}
		return;
	}
	for (long l = 0; l < width; l += LANES)
		for (long i = 0; i < k; i += 2 * LANES) {
			vec r[LANES];
			for (int j = 0; j < LANES; j++) {
				const float *from = src + (l + j) * lane_stride + i;
				r[j] = (vec){0};
				if (l + j < lanes) r[j] = (vec)_mm512_cvtne2ps_pbh((__m512)get(from + LANES, k - i - LANES), (__m512)get(from, k - i));
			}
			transpose(r);
			for (long j = 0; j < LANES && i + 2 * j < k; j++) put(dst + (i / 2 + j) * width + l, r[j], width - l);
		}
}
