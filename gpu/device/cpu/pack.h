// Packing copies an operand of a product into panels that the tile reads
// straight through. Operands whose rows run along k are transposed on the way,
// in registers. ROUND is what happens to each vector: nothing, or rounding to
// bfloat16 where the processor has no products of those.

#ifndef PUT_WORD
#define PUT_WORD
// put_word writes lanes l… of word i of k. A vector may be wider than the panel:
// what it writes of the next word is overwritten by that.
INLINE void put_word(float *panel, long width, long l, long i, long k, vec v) {
	if (i + 1 < k)
		store(panel + i * width + l, v);
	else
		put(panel + i * width + l, v, width - l);
}
#endif

static void PACK(void *to, long width, const float *src, long lane_stride, long k_stride, long lanes, long k) {
	if (k_stride != 1) { // lanes lie side by side already
		for (long i = 0; i < k; i++)
			for (long l = 0; l < width; l += LANES) put_word(to, width, l, i, k, ROUND(get(src + i * k_stride + l, lanes - l)));
		return;
	}
	for (long l = 0; l < width; l += LANES)
		for (long i = 0; i < k; i += LANES) {
			vec r[LANES];
#pragma GCC unroll 16
			for (int j = 0; j < LANES; j++) r[j] = l + j < lanes ? ROUND(get(src + (l + j) * lane_stride + i, k - i)) : (vec){0};
			transpose(r);
#pragma GCC unroll 16
			for (int j = 0; j < LANES; j++)
				if (i + j < k) put_word(to, width, l, i + j, k, r[j]);
		}
}
