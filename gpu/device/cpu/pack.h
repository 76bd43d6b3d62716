// Packing copies an operand of a product into panels that the tile reads
// straight through. Operands whose rows run along k are transposed on the way,
// in registers. ROUND is what happens to each vector: nothing, or rounding to
// bfloat16 where the processor has no products of those.

#ifndef TRANSPOSE
#define TRANSPOSE
// transpose exchanges r[i][j] and r[j][i].
INLINE void transpose(vec r[LANES]) {
#if LANES == 16
	__m512 t[16];
	__m512 *v = (__m512 *)r;
	for (int i = 0; i < 16; i += 2) { // pairs of rows: 2×2 within each 128 bits
		t[i] = _mm512_unpacklo_ps(v[i], v[i + 1]);
		t[i + 1] = _mm512_unpackhi_ps(v[i], v[i + 1]);
	}
	for (int i = 0; i < 16; i += 4) { // four rows: 4×4 within each 128 bits
		v[i + 0] = (__m512)_mm512_unpacklo_pd((__m512d)t[i], (__m512d)t[i + 2]);
		v[i + 1] = (__m512)_mm512_unpackhi_pd((__m512d)t[i], (__m512d)t[i + 2]);
		v[i + 2] = (__m512)_mm512_unpacklo_pd((__m512d)t[i + 1], (__m512d)t[i + 3]);
		v[i + 3] = (__m512)_mm512_unpackhi_pd((__m512d)t[i + 1], (__m512d)t[i + 3]);
	}
	for (int i = 0; i < 4; i++) { // then the 128-bit parts themselves
		__m512 even0 = _mm512_shuffle_f32x4(v[i], v[i + 4], 0x88), odd0 = _mm512_shuffle_f32x4(v[i], v[i + 4], 0xdd);
		__m512 even1 = _mm512_shuffle_f32x4(v[i + 8], v[i + 12], 0x88), odd1 = _mm512_shuffle_f32x4(v[i + 8], v[i + 12], 0xdd);
		t[i + 0] = _mm512_shuffle_f32x4(even0, even1, 0x88);
		t[i + 8] = _mm512_shuffle_f32x4(even0, even1, 0xdd);
		t[i + 4] = _mm512_shuffle_f32x4(odd0, odd1, 0x88);
		t[i + 12] = _mm512_shuffle_f32x4(odd0, odd1, 0xdd);
	}
	for (int i = 0; i < 16; i++) v[i] = t[i];
#else
	float t[LANES][LANES];
	for (int i = 0; i < LANES; i++)
		for (int j = 0; j < LANES; j++) t[j][i] = r[i][j];
	for (int i = 0; i < LANES; i++) r[i] = load(t[i]);
#endif
}
#endif

static void PACK(void *to, long width, const float *src, long lane_stride, long k_stride, long lanes, long k) {
	float *dst = to;
	if (k_stride != 1) { // lanes lie side by side already
		for (long i = 0; i < k; i++)
			for (long l = 0; l < width; l += LANES)
				put(dst + i * width + l, ROUND(get(src + i * k_stride + l, lanes - l)), width - l);
		return;
	}
	for (long l = 0; l < width; l += LANES) {
		for (long i = 0; i < k; i += LANES) {
			long some = k - i < LANES ? k - i : LANES;
			vec r[LANES];
			for (int j = 0; j < LANES; j++)
				r[j] = l + j < lanes ? ROUND(get(src + (l + j) * lane_stride + i, some)) : (vec){0};
			transpose(r);
			for (long j = 0; j < some; j++) put(dst + (i + j) * width + l, r[j], width - l);
		}
	}
}
