// Steps of the optimizers on a run of floats, and the 8-bit code of moments.
// Constants k are listed in optimizer.h.

static void NAME(adamw)(float *p, const float *g, float *m, float *v, long n, const float k[9]) {
	for EACH(i, n) {
		vec grad = get(g + i, n - i) * k[8];
		vec mean = k[0] * get(m + i, n - i) + k[1] * grad;
		vec square = k[2] * get(v + i, n - i) + k[3] * grad * grad;
		put(m + i, mean, n - i);
		put(v + i, square, n - i);
		put(p + i, get(p + i, n - i) * k[7] - k[4] * mean / (square_root(square * k[5]) + k[6]), n - i);
	}
}

static void NAME(sgd)(float *p, const float *g, float *m, long n, const float k[6]) {
	for EACH(i, n) {
		vec old = get(p + i, n - i);
		vec grad = get(g + i, n - i) * k[5] + k[1] * old;
		vec mean = grad;
		if (m) {
			mean += k[0] * get(m + i, n - i);
			put(m + i, mean, n - i);
		}
		put(p + i, old - k[2] * (k[3] * grad + k[4] * mean), n - i);
	}
}

static void NAME(lion)(float *p, const float *g, float *m, long n, const float k[7]) {
	for EACH(i, n) {
		vec grad = get(g + i, n - i) * k[6], mean = get(m + i, n - i);
		vec way = k[0] * mean + k[1] * grad, none = {0};
		vec sign = choose(way > none, spread(k[4]), choose(way < none, spread(-k[4]), none));
		put(m + i, k[2] * mean + k[3] * grad, n - i);
		put(p + i, get(p + i, n - i) * k[5] - sign, n - i);
	}
}

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
