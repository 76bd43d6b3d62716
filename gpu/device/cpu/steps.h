// Steps of the optimizers on a run of weights, and the 8-bit code of moments.
// Constants k are listed in optimizer.h.

#ifndef WEIGHTS_IN
#define WEIGHTS_IN
// weights_in and weights_out are LANES of n weights from number i on: floats, or
// both halves of them (device.Weights).
INLINE vec weights_in(const int format, weights w, long i, long n) {
	if (format == F32) return get((const float *)w.w.data + i, n - i);
	uvec high = get_halves((const uint16_t *)w.w.data + i, n - i), low = get_halves(w.low + i, n - i);
	return (vec)((high << 16) + (uvec)((ivec)(low << 16) >> 16));
}

INLINE void weights_out(const int format, weights w, long i, long n, vec v) {
	if (format == F32) {
		put((float *)w.w.data + i, v, n - i);
		return;
	}
	uvec bits = (uvec)v;
	put_halves((uint16_t *)w.w.data + i, (bits + 0x8000) >> 16, n - i);
	put_halves(w.low + i, bits & 0xffff, n - i);
}
#endif

INLINE void NAME(adamw_in)(const int p, const int r, weights w, const void *g, float *m, float *v, long n, float factor, const float k[8]) {
	for EACH(i, n) {
		vec grad = take(r, g, i, n) * factor;
		vec mean = k[0] * get(m + i, n - i) + k[1] * grad;
		vec square = k[2] * get(v + i, n - i) + k[3] * grad * grad;
		put(m + i, mean, n - i);
		put(v + i, square, n - i);
		weights_out(p, w, i, n, weights_in(p, w, i, n) * k[7] - k[4] * mean / (square_root(square * k[5]) + k[6]));
	}
}

static void NAME(adamw)(weights w, tensor g, float *m, float *v, long n, float factor, const float k[8]) {
	BY_FORMATS(NAME(adamw_in), w.w.format, g.format, w, g.data, m, v, n, factor, k);
}

INLINE void NAME(sgd_in)(const int p, const int r, weights w, const void *g, float *m, long n, float factor, const float k[5]) {
	for EACH(i, n) {
		vec old = weights_in(p, w, i, n);
		vec grad = take(r, g, i, n) * factor + k[1] * old;
		vec mean = grad;
		if (m) {
			mean += k[0] * get(m + i, n - i);
			put(m + i, mean, n - i);
		}
		weights_out(p, w, i, n, old - k[2] * (k[3] * grad + k[4] * mean));
	}
}

static void NAME(sgd)(weights w, tensor g, float *m, long n, float factor, const float k[5]) {
	BY_FORMATS(NAME(sgd_in), w.w.format, g.format, w, g.data, m, n, factor, k);
}

INLINE void NAME(lion_in)(const int p, const int r, weights w, const void *g, float *m, long n, float factor, const float k[6]) {
	for EACH(i, n) {
		vec grad = take(r, g, i, n) * factor, mean = get(m + i, n - i);
		vec way = k[0] * mean + k[1] * grad, none = {0};
		vec sign = choose(way > none, spread(k[4]), choose(way < none, spread(-k[4]), none));
		put(m + i, k[2] * mean + k[3] * grad, n - i);
		weights_out(p, w, i, n, weights_in(p, w, i, n) * k[5] - sign);
	}
}

static void NAME(lion)(weights w, tensor g, float *m, long n, float factor, const float k[6]) {
	BY_FORMATS(NAME(lion_in), w.w.format, g.format, w, g.data, m, n, factor, k);
}

INLINE void NAME(average_in)(const int p, weights average, weights w, long n, float keep) {
	for EACH(i, n) weights_out(p, average, i, n, keep * weights_in(p, average, i, n) + (1 - keep) * weights_in(p, w, i, n));
}

static void NAME(average)(weights average, weights w, long n, float keep) { BY_FORMAT(NAME(average_in), w.w.format, average, w, n, keep); }

static void NAME(widen)(float *x, const uint8_t *codes, float scale, const code *c, long n) {
	for (long i = 0; i < n; i++) x[i] = c->value[codes[i]] * scale;
}

static float NAME(narrow)(uint8_t *codes, const float *x, const code *c, long n) {
	vec tops = {0};
	for EACH(i, n) {
		vec v = get(x + i, n - i);
		tops = larger(choose(v < (vec){0}, -v, v), tops);
	}
	float top = max_lanes(tops), share[MOMENT_BLOCK + LANES];
	for EACH(i, n) store(share + i, get(x + i, n - i) / (top > 0 ? top : 1));
	for (long i = 0; i < n; i++) {
		uint32_t bits;
		memcpy(&bits, share + i, 4);
		uint8_t low = c->first[bits >> 16];
		codes[i] = (uint8_t)(low + (share[i] > c->above[low]));
	}
	return top;
}
