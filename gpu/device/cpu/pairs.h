// Packing into words of two bfloat16 that follow each other in k: what both
// VDPBF16PS and TDPBF16PS multiply. Needs AVX512_BF16 and vec.h.

// pair_down is the words of LANES lanes that lie side by side from number `at`
// on, the next k a step further; of n lanes, and of `left` values of k.
INLINE vec pair_down(const int format, const void *src, long at, long step, long n, long left) {
	if (left <= 0) return (vec){0};
	uvec even, odd = {0};
	if (format == BF16) {
		const uint16_t *p = (const uint16_t *)src + at;
		even = get_halves(p, n);
		if (left > 1) odd = get_halves(p + step, n);
	} else {
		const float *p = (const float *)src + at;
		even = (uvec)_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)get(p, n)));
		if (left > 1) odd = (uvec)_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)get(p + step, n)));
	}
	return (vec)(even | odd << 16);
}

// pairs_along is LANES words of one lane whose values lie one after the other
// from number `at` on, the first n.
INLINE vec pairs_along(const int format, const void *src, long at, long n) {
	if (n <= 0) return (vec){0};
	if (format == BF16) return (vec)_mm512_maskz_loadu_epi16(n >= 2 * LANES ? ~0u : (1u << n) - 1, (const uint16_t *)src + at);
	const float *p = (const float *)src + at;
	return (vec)_mm512_cvtne2ps_pbh((__m512)get(p + LANES, n - LANES), (__m512)get(p, n));
}

// pack_pairs is pack for words of two successive k; an odd last k is paired
// with 0.
INLINE void pack_pairs_as(const int format, void *to, long width, const void *src, long lane_stride, long k_stride, long lanes, long k) {
	long words = (k + 1) / 2;
	if (k_stride != 1) {
		for (long i = 0; i < words; i++)
			for (long l = 0; l < width; l += LANES)
				put_word(to, width, l, i, words, pair_down(format, src, 2 * i * k_stride + l, k_stride, lanes - l, k - 2 * i));
		return;
	}
	for (long l = 0; l < width; l += LANES)
		for (long i = 0; i < words; i += LANES) {
			vec r[LANES];
#pragma GCC unroll 16
			for (int j = 0; j < LANES; j++) r[j] = pairs_along(format, src, (l + j) * lane_stride + 2 * i, l + j < lanes ? k - 2 * i : 0);
			transpose(r);
#pragma GCC unroll 16
			for (int j = 0; j < LANES; j++)
				if (i + j < words) put_word(to, width, l, i + j, words, r[j]);
		}
}

static void pack_pairs(int format, void *to, long width, const void *src, long lane_stride, long k_stride, long lanes, long k) {
	if (format == BF16)
		pack_pairs_as(BF16, to, width, src, lane_stride, k_stride, lanes, k);
	else
		pack_pairs_as(F32, to, width, src, lane_stride, k_stride, lanes, k);
}
