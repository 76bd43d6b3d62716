// Packing copies an operand of a product into panels that the tile reads
// straight through. Operands whose rows run along k are transposed on the way,
// in registers. round says whether to round to bfloat16, where the processor has
// no products of those.

// put_word writes lanes l… of word i of k. A vector may be wider than the panel:
// what it writes of the next word is overwritten by that.
INLINE void put_word(float *panel, long width, long l, long i, long k, vec v) {
	if (i + 1 < k)
		store(panel + i * width + l, v);
	else
		put(panel + i * width + l, v, width - l);
}

// operand is the first n of LANES numbers from number `at` on.
INLINE vec operand(const int format, const int round, const void *src, long at, long n) {
	if (format == BF16) return get_bf16((const uint16_t *)src + at, n);
	vec v = get((const float *)src + at, n);
	return round ? rounded(v) : v;
}

INLINE void NAME(pack_as)(const int format, const int round, void *to, long width, const void *src, long lane_stride, long k_stride, long lanes, long k) {
	if (k_stride != 1) { // lanes lie side by side already
		for (long i = 0; i < k; i++)
			for (long l = 0; l < width; l += LANES) put_word(to, width, l, i, k, operand(format, round, src, i * k_stride + l, lanes - l));
		return;
	}
	for (long l = 0; l < width; l += LANES)
		for (long i = 0; i < k; i += LANES) {
			vec r[LANES];
#pragma GCC unroll 16
			for (int j = 0; j < LANES; j++)
				r[j] = l + j < lanes ? operand(format, round, src, (l + j) * lane_stride + i, k - i) : (vec){0};
			transpose(r);
#pragma GCC unroll 16
			for (int j = 0; j < LANES; j++)
				if (i + j < k) put_word(to, width, l, i + j, k, r[j]);
		}
}

static void NAME(pack)(int format, void *to, long width, const void *src, long lane_stride, long k_stride, long lanes, long k) {
	if (format == BF16)
		NAME(pack_as)(BF16, 0, to, width, src, lane_stride, k_stride, lanes, k);
	else
		NAME(pack_as)(F32, 0, to, width, src, lane_stride, k_stride, lanes, k);
}

#ifndef BF16_PRODUCTS
static void NAME(pack_rounded)(int format, void *to, long width, const void *src, long lane_stride, long k_stride, long lanes, long k) {
	if (format == BF16)
		NAME(pack)(BF16, to, width, src, lane_stride, k_stride, lanes, k);
	else
		NAME(pack_as)(F32, 1, to, width, src, lane_stride, k_stride, lanes, k);
}
#endif
