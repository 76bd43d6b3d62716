// The inner kernels of attention (attention.h says what they are for). A block of
// scores lies with keys as its rows and queries as its lanes, so that maxima and
// sums of the softmax go down the columns, LANES queries at a time, and no vector
// is ever added up across its lanes.
//
// PAIR is how many numbers a word of an operand holds: one float, or two bfloat16
// where the processor multiplies those (flash_pairs.h).

// power2 is 2ˣ within 2 ulp for −126 ≤ x ≤ 127; less counts as −126. Adding
// `whole` leaves round(x) + 127 in the lowest bits, which are the exponent of the
// result; the polynomial is 2ʳ for |r| ≤ ½.
INLINE vec power2(vec x) {
	const float whole = 0x1.8p23f + 127;
	x = larger(spread(-126.0f), x);
	vec n = x + whole, r = x - (n - whole);
	vec p = spread(0x1.44138ap-13f);
	p = p * r + 0x1.5f089p-10f;
	p = p * r + 0x1.3b2a54p-7f;
	p = p * r + 0x1.c6af6cp-5f;
	p = p * r + 0x1.ebfbep-3f;
	p = p * r + 0x1.62e43p-1f;
	p = p * r + 1.0f;
	return p * (vec)((ivec)n << 23);
}

#ifdef BF16_PRODUCTS
// pair puts bf16(even) in the low and bf16(odd) in the high half of each lane.
INLINE vec pair(vec even, vec odd) {
	const uvec at = {0x100000, 0x110001, 0x120002, 0x130003, 0x140004, 0x150005, 0x160006, 0x170007, 0x180008, 0x190009, 0x1a000a, 0x1b000b, 0x1c000c, 0x1d000d, 0x1e000e, 0x1f000f};
	return (vec)_mm512_permutexvar_epi16((__m512i)at, (__m512i)_mm512_cvtne2ps_pbh((__m512)odd, (__m512)even));
}
#endif

// put_left stores lanes j… of row r of a left operand, put_right those of rows r
// and r+1 of a right one.
INLINE void NAME(put_left)(const int PAIR, void *to, long r, long j, vec v) {
#ifdef BF16_PRODUCTS
	if (PAIR == 2) {
		_mm256_storeu_si256((__m256i *)(void *)((uint16_t *)to + r * BLOCK + j), (__m256i)_mm512_cvtneps_pbh((__m512)v));
		return;
	}
#endif
	(void)PAIR;
	store((float *)to + r * BLOCK + j, v);
}

INLINE void NAME(put_right)(const int PAIR, void *to, long r, long j, vec even, vec odd) {
#ifdef BF16_PRODUCTS
	if (PAIR == 2) {
		store((float *)to + r / 2 * BLOCK + j, pair(even, odd));
		return;
	}
#endif
	(void)PAIR;
	store((float *)to + r * BLOCK + j, even);
	store((float *)to + (r + 1) * BLOCK + j, odd);
}

// seen is v in lanes whose limit is beyond key r, and other elsewhere.
INLINE vec NAME(seen)(ivec limits, long r, vec v, vec other) { return choose(limits > (int32_t)r, v, other); }

// softmax_block takes a block of scores into the running softmax of `lanes`
// queries: p becomes 2^(scale·s − top), a right operand, for the new tops; keep is
// what the sums so far were multiplied with. It returns whether one is not 1.
// Lane l sees keys below limit[l], which ascend, or all rows without limits.
// p has zeros for the others and up to a multiple of 32 rows; it may be s.
INLINE int NAME(softmax_block)(const int PAIR, void *p, float *s, long lanes, long rows, const int32_t *limit, float scale, float *top, float *sum, float *keep) {
	ivec moved = {0};
	for (long j = 0; j < lanes; j += LANES) {
		ivec limits = (ivec){0} + (int32_t)rows;
		long all = rows, some = rows;
		if (limit) {
			limits = (ivec)load((const float *)(const void *)(limit + j));
			all = limit[j] < 0 ? 0 : limit[j] < rows ? limit[j] : rows;
			some = limit[j + LANES - 1] < all ? all : limit[j + LANES - 1] < rows ? limit[j + LANES - 1] : rows;
		}
		const float *from = s + j;
		vec tops[4];
		for (int i = 0; i < 4; i++) tops[i] = spread(-INFINITY);
		long r = 0;
		for (; r + 4 <= all; r += 4)
			for (int i = 0; i < 4; i++) tops[i] = larger(load(from + (r + i) * BLOCK), tops[i]);
		for (; r < some; r++) tops[0] = larger(r < all ? load(from + r * BLOCK) : NAME(seen)(limits, r, load(from + r * BLOCK), spread(-INFINITY)), tops[0]);
		vec before = load(top + j), now = larger(larger(larger(tops[0], tops[1]), larger(tops[2], tops[3])) * scale, before);
		vec kept = choose(now == before, spread(1), power2(before - now)), sums = {0}, odd_sums = {0};
		for (r = 0; r + 2 <= all; r += 2) {
			vec even = power2(load(from + r * BLOCK) * scale - now), odd = power2(load(from + (r + 1) * BLOCK) * scale - now);
			NAME(put_right)(PAIR, p, r, j, even, odd);
			sums += even;
			odd_sums += odd;
		}
		for (; r < some; r += 2) {
			vec even = NAME(seen)(limits, r, power2(load(from + r * BLOCK) * scale - now), (vec){0});
			vec odd = NAME(seen)(limits, r + 1, power2(load(from + (r + 1) * BLOCK) * scale - now), (vec){0});
			NAME(put_right)(PAIR, p, r, j, even, odd);
			sums += even;
			odd_sums += odd;
		}
		for (; r < (rows + 31) / 32 * 32; r += 2) NAME(put_right)(PAIR, p, r, j, (vec){0}, (vec){0});
		store(sum + j, load(sum + j) * kept + (sums + odd_sums));
		store(top + j, now);
		store(keep + j, kept);
		moved |= now != before;
	}
	for (int i = 1; i < LANES; i++) moved[0] |= moved[i];
	return moved[0];
}

static int NAME(softmax_singles)(void *p, float *s, long lanes, long rows, const int32_t *limit, float scale, float *top, float *sum, float *keep) {
	return NAME(softmax_block)(1, p, s, lanes, rows, limit, scale, top, sum, keep);
}

// gradient_block recomputes the probabilities p = 2^(scale·s − lse) of a block of
// scores and turns their gradient dp into that of the scores, but for 1/√D:
// ds = p·(dp − delta). p and ds are left operands, down is ds as a right one; they
// may be s, dp and dp where PAIR is 1.
INLINE void NAME(gradient_block)(const int PAIR, void *p, void *ds, void *down, const float *s, const float *dp, long lanes, long rows, const int32_t *limit, float scale, const float *lse, const float *delta) {
	for (long j = 0; j < lanes; j += LANES) {
		ivec limits = (ivec){0} + (int32_t)rows;
		long all = rows, some = rows;
		if (limit) {
			limits = (ivec)load((const float *)(const void *)(limit + j));
			all = limit[j] < rows ? limit[j] : rows;
			some = limit[j + LANES - 1] < rows ? limit[j + LANES - 1] : rows;
		}
		vec l = load(lse + j), d = load(delta + j);
		for (long r = 0; r < (rows + 31) / 32 * 32; r += 2) {
			vec e[2] = {{0}, {0}}, g[2] = {{0}, {0}};
			for (int i = 0; i < 2 && r < some; i++) {
				long at = (r + i) * BLOCK + j;
				e[i] = power2(load(s + at) * scale - l);
				g[i] = e[i] * (load(dp + at) - d);
				if (r + i < all) continue;
				e[i] = NAME(seen)(limits, r + i, e[i], (vec){0});
				g[i] = NAME(seen)(limits, r + i, g[i], (vec){0});
			}
			for (int i = 0; i < 2; i++) {
				NAME(put_left)(PAIR, p, r + i, j, e[i]);
				NAME(put_left)(PAIR, ds, r + i, j, g[i]);
			}
			if (PAIR > 1) NAME(put_right)(PAIR, down, r, j, g[0], g[1]);
		}
	}
}

static void NAME(gradient_singles)(void *p, void *ds, void *down, const float *s, const float *dp, long lanes, long rows, const int32_t *limit, float scale, const float *lse, const float *delta) {
	NAME(gradient_block)(1, p, ds, down, s, dp, lanes, rows, limit, scale, lse, delta);
}

// rows_as_floats is a block of rows of a tensor, each with its place there, as
// either operand of floats; zeros follow up to `padded` rows and `wide` numbers.
INLINE void NAME(rows_in)(const int format, float *to, long wide, const void *x, const long *at, long rows, long padded, long d) {
	for (long r = 0; r < padded; r++)
		for (long i = 0; i < wide; i += LANES)
			store(to + r * wide + i, r < rows ? take(format, (const char *)x + at[r] * number_bytes(format), i, d) : (vec){0});
}

static void NAME(rows_as_floats)(void *to, long wide, tensor x, const long *at, long rows, long padded, long d) {
	BY_FORMAT(NAME(rows_in), x.format, to, wide, x.data, at, rows, padded, d);
}

static void NAME(product_singles)(float *c, long ldc, left_operand a, const void *b, long ldb, long m, long n, long k, int add) {
	NAME(block)(c, ldc, a.at, a.row, a.k, b, ldb, m, n, k, add);
}

// turn transposes words: to[i][r] = x[r][i], both counts multiples of 16.
static void NAME(turn)(void *to, long to_stride, const void *x, long stride, long rows, long columns) {
	const float *from = x;
	float *dst = to;
	for (long r = 0; r < rows; r += LANES)
		for (long i = 0; i < columns; i += LANES) {
			vec v[LANES];
			for (int t = 0; t < LANES; t++) v[t] = load(from + (r + t) * stride + i);
			transpose(v);
			for (int t = 0; t < LANES; t++) store(dst + (i + t) * to_stride + r, v[t]);
		}
}

// scale_lanes multiplies each of `rows` rows by the lanes of factor.
static void NAME(scale_lanes)(float *x, const float *factor, long rows, long lanes) {
	for (long r = 0; r < rows; r++)
		for (long j = 0; j < lanes; j += LANES) store(x + r * BLOCK + j, load(x + r * BLOCK + j) * load(factor + j));
}

// merge takes a running softmax and its outputs into another one.
static void NAME(merge)(float *x, float *top, float *sum, const float *y, const float *y_top, const float *y_sum, long rows, long lanes) {
	for (long j = 0; j < lanes; j += LANES) {
		vec a = load(top + j), b = load(y_top + j), now = larger(a, b);
		vec keep = choose(now == a, spread(1), power2(a - now)), take = choose(now == b, spread(1), power2(b - now));
		store(top + j, now);
		store(sum + j, load(sum + j) * keep + load(y_sum + j) * take);
		for (long r = 0; r < rows; r++) store(x + r * BLOCK + j, load(x + r * BLOCK + j) * keep + load(y + r * BLOCK + j) * take);
	}
}

// rows_out writes x[d][lanes] times factor[lanes] as rows of a tensor.
INLINE void NAME(rows_out_in)(const int format, void *to, const long *at, const float *x, const float *factor, long rows, long d) {
	for (long j = 0; j < rows; j += LANES)
		for (long i = 0; i < d; i += LANES) {
			vec v[LANES];
			for (int t = 0; t < LANES; t++) v[t] = load(x + (i + t) * BLOCK + j) * load(factor + j);
			transpose(v);
			for (long t = 0; t < LANES && j + t < rows; t++) give(format, (char *)to + at[j + t] * number_bytes(format), i, d, v[t]);
		}
}

static void NAME(rows_out)(tensor to, const long *at, const float *x, const float *factor, long rows, long d) {
	BY_FORMAT(NAME(rows_out_in), to.format, to.data, at, x, factor, rows, d);
}

// sum_heads is to[d] (+)= factor·Σ of n runs that are `step` floats apart.
INLINE void NAME(sum_heads_in)(const int format, void *to, const float *x, long n, long step, long d, float factor, int add) {
	for EACH(i, d) {
		vec s = get(x + i, d - i);
		for (long h = 1; h < n; h++) s += get(x + h * step + i, d - i);
		give(format, to, i, d, add ? take(format, to, i, d) + s * factor : s * factor);
	}
}

static void NAME(sum_heads)(tensor to, const float *x, long n, long step, long d, float factor, int add) {
	BY_FORMAT(NAME(sum_heads_in), to.format, to.data, x, n, step, d, factor, add);
}

// inner is Σ x·y of two rows.
INLINE float NAME(inner_in)(const int format, const void *x, const void *y, long n) {
	vec s = {0};
	for EACH(i, n) s += take(format, x, i, n) * take(format, y, i, n);
	return sum_lanes(s);
}

static float NAME(inner)(tensor x, tensor y, long n) { return BY_FORMAT(NAME(inner_in), x.format, x.data, y.data, n); }
