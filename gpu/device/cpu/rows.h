// Kernels that go along a row or a run of floats once or twice. `for EACH`
// steps by a vector; get and put take care of the last one.
#define EACH(i, n) (long i = 0; i < (n); i += LANES)

static float NAME(inner)(const float *x, const float *y, long n) {
	vec s = {0};
	for EACH(i, n) s += get(x + i, n - i) * get(y + i, n - i);
	return sum_lanes(s);
}

static float NAME(norm)(float *y, float *x, const float *res, const float *w, long h, float eps) {
	vec s = {0};
	for EACH(i, h) {
		vec v = get(x + i, h - i);
		if (res) {
			v += get(res + i, h - i);
			put(x + i, v, h - i);
		}
		s += v * v;
	}
	float rstd = 1 / sqrtf(sum_lanes(s) / (float)h + eps);
	for EACH(i, h) put(y + i, get(x + i, h - i) * rstd * get(w + i, h - i), h - i);
	return rstd;
}

static void NAME(norm_backward)(float *dx, float *dw, const float *dy, const float *x, const float *w, float rstd, long h) {
	vec s = {0};
	for EACH(i, h) s += get(dy + i, h - i) * get(w + i, h - i) * get(x + i, h - i);
	float back = sum_lanes(s) / (float)h * rstd * rstd * rstd;
	for EACH(i, h) {
		vec g = get(dy + i, h - i), v = get(x + i, h - i);
		put(dx + i, get(dx + i, h - i) + (rstd * g * get(w + i, h - i) - v * back), h - i);
		if (dw) put(dw + i, get(dw + i, h - i) + g * v * rstd, h - i);
	}
}

static void NAME(swiglu)(float *z, const float *u, long f) {
	for EACH(i, f) {
		vec a = get(u + i, f - i), b = get(u + f + i, f - i);
		put(z + i, a / (1.0f + exponential(-a)) * b, f - i);
	}
}

static void NAME(swiglu_backward)(float *du, const float *dz, const float *u, long f) {
	for EACH(i, f) {
		vec a = get(u + i, f - i), b = get(u + f + i, f - i), g = get(dz + i, f - i);
		vec s = 1.0f / (1.0f + exponential(-a));
		put(du + i, g * b * s * (1.0f + a * (1.0f - s)), f - i);
		put(du + f + i, g * a * s, f - i);
	}
}

// loss turns a row of logits into its loss and, with gradient, into
// scale·(softmax − onehot).
static float NAME(loss)(float *z, long v, long target, float scale, int gradient) {
	float goal = z[target];
	vec tops = spread(goal), sums = {0};
	for EACH(i, v) {
		vec x = get(z + i, v - i);
		tops = larger(v - i >= LANES ? x : larger(x, spread(goal)), tops);
	}
	float top = max_lanes(tops);
	long whole = v - v % LANES;
	for (long i = 0; i < whole; i += LANES) {
		vec e = exponential(load(z + i) - top);
		if (gradient) store(z + i, e);
		sums += e;
	}
	if (whole < v) { // lanes beyond the row must not count
		float t[LANES] = {0};
		vec e = exponential(get(z + whole, v - whole) - top);
		put(t, e, v - whole);
		sums += load(t);
		if (gradient) put(z + whole, e, v - whole);
	}
	float sum = sum_lanes(sums);
	if (gradient) {
		for EACH(i, v) put(z + i, get(z + i, v - i) * (scale / sum), v - i);
		z[target] -= scale;
	}
	return (float)(log((double)sum) + (double)top - (double)goal);
}

INLINE float NAME(top)(const float *x, long n) {
	vec tops = spread(x[0]);
	long whole = n - n % LANES;
	for (long i = 0; i < whole; i += LANES) tops = larger(load(x + i), tops);
	float top = max_lanes(tops);
	for (long i = whole; i < n; i++) top = x[i] > top ? x[i] : top;
	return top;
}

// likeliest reports whether the target is the first of the largest logits.
static int NAME(likeliest)(const float *z, long v, long target) {
	float goal = z[target];
	if (target > 0 && !(NAME(top)(z, target) < goal)) return 0;
	return target + 1 == v || NAME(top)(z + target + 1, v - target - 1) <= goal;
}

// loss_toward is loss for a goal that is not plain (device.Goal), always with
// the gradient. base, NULL without an anchor, is used up as well. With p and b
// the softmax of z and base,
//
//	z becomes scale·((1+λ)·p − q − λ·b)    KL = Σ b·(base − z) + lse(z) − lse(base)
static float NAME(loss_toward)(float *z, float *base, long v, long target, float smoothing, float anchor, float scale) {
	float goal = z[target], top = NAME(top)(z, v), base_top = base ? NAME(top)(base, v) : 0;
	dvec all = {0};
	vec sums = {0}, base_sums = {0}, apart = {0};
	for EACH(i, v) { // lanes beyond the row are read back as 0
		vec x = get(z + i, v - i);
		all += __builtin_convertvector(x, dvec);
		put(z + i, exponential(x - top), v - i);
		sums += get(z + i, v - i);
		if (!base) continue;
		vec y = get(base + i, v - i) - base_top;
		put(base + i, exponential(y), v - i);
		vec e = get(base + i, v - i);
		base_sums += e;
		apart += e * (y - (x - top));
	}
	double mean = 0;
	for (int i = 0; i < LANES; i++) mean += all[i] / (double)v;
	float sum = sum_lanes(sums), base_sum = sum_lanes(base_sums);
	double lse = log((double)sum) + (double)top;
	double loss = (1 - (double)smoothing) * (lse - (double)goal) + (double)smoothing * (lse - mean);
	float own = scale * (1 + anchor) / sum, even = scale * smoothing / (float)v, other = 0;
	if (base) {
		loss += (double)anchor * ((double)sum_lanes(apart) / (double)base_sum + log((double)sum) - log((double)base_sum));
		other = scale * anchor / base_sum;
	}
	for EACH(i, v) {
		vec g = get(z + i, v - i) * own - even;
		if (base) g -= get(base + i, v - i) * other;
		put(z + i, g, v - i);
	}
	z[target] -= scale * (1 - smoothing);
	return (float)loss;
}

// softmax_step takes one more block of scores into a running softmax: s
// becomes exp(scale·s − top), zero beyond the valid ones, for the new top. It
// returns what sums under the old top are to be multiplied with.
static float NAME(softmax_step)(float *s, long valid, float scale, float *top, float *sum) {
	for (long j = valid; j < BLOCK; j++) s[j] = s[0];
	vec tops = load(s);
	for EACH(i, BLOCK) tops = larger(load(s + i), tops);
	float now = max_lanes(tops) * scale;
	now = now > *top ? now : *top;
	for EACH(i, BLOCK) store(s + i, exponential(load(s + i) * scale - now));
	for (long j = valid; j < BLOCK; j++) s[j] = 0;
	vec sums = {0};
	for EACH(i, BLOCK) sums += load(s + i);
	float keep = now == *top ? 1 : isinf(*top) ? 0 : exponential(spread(*top - now))[0];
	*sum = *sum * keep + sum_lanes(sums);
	*top = now;
	return keep;
}

// softmax_row is the softmax of scale·s, whole.
static void NAME(softmax_row)(float *s, long n, float scale) {
	long whole = n - n % LANES;
	vec tops = spread(s[0]), sums = {0};
	for (long i = 0; i < whole; i += LANES) tops = larger(load(s + i), tops);
	float top = max_lanes(tops);
	for (long i = whole; i < n; i++) top = s[i] > top ? s[i] : top;
	for EACH(i, n) put(s + i, exponential((get(s + i, n - i) - top) * scale), n - i);
	for EACH(i, n) sums += get(s + i, n - i);
	float sum = sum_lanes(sums);
	for EACH(i, n) put(s + i, get(s + i, n - i) / sum, n - i);
}

// scores_backward recomputes the probabilities p from scores and turns their
// gradient dp into that of the scores.
static void NAME(scores_backward)(float *p, float *dp, long valid, float scale, float lse, float delta) {
	for EACH(i, BLOCK) {
		vec e = exponential(load(p + i) * scale - lse);
		store(p + i, e);
		store(dp + i, e * (load(dp + i) - delta) * scale);
	}
	for (long j = valid; j < BLOCK; j++) p[j] = dp[j] = 0;
}

static void NAME(axpy)(float *y, float a, const float *x, long n) {
	for EACH(i, n) put(y + i, get(y + i, n - i) + a * get(x + i, n - i), n - i);
}

static void NAME(scale)(float *x, float a, long n) {
	for EACH(i, n) put(x + i, get(x + i, n - i) * a, n - i);
}

static double NAME(squares)(const float *x, long n) {
	dvec s = {0};
	double sum = 0;
	for EACH(i, n) {
		dvec v = __builtin_convertvector(get(x + i, n - i), dvec);
		s += v * v;
	}
	for (int i = 0; i < LANES; i++) sum += s[i];
	return sum;
}

// rotary turns adjacent pairs by angles whose cosines and sines are in turn.
static void NAME(rotary)(float *x, const float *turn, long n, float sign) {
	for (long i = 0; i + 1 < n; i += 2) {
		float cosine = turn[i], sine = sign * turn[i + 1], re = x[i], im = x[i + 1];
		x[i] = re * cosine - im * sine;
		x[i + 1] = im * cosine + re * sine;
	}
}

// tanh is 1 − 2/(e²ˣ + 1).
static void NAME(tanh)(float *y, const float *x, long n) {
	for EACH(i, n) put(y + i, 1.0f - 2.0f / (exponential(2.0f * get(x + i, n - i)) + 1.0f), n - i);
}

static void NAME(tanh_backward)(float *dx, const float *dy, const float *y, long n) {
	for EACH(i, n) {
		vec v = get(y + i, n - i);
		put(dx + i, get(dy + i, n - i) * (1.0f - v * v), n - i);
	}
}

// uniform is device.Uniform.
INLINE float NAME(uniform)(uint64_t seed, uint64_t counter) {
	uint64_t z = seed + (counter + 1) * 0x9E3779B97F4A7C15u;
	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	z ^= z >> 31;
	return (float)(int32_t)(z >> 40) * 0x1p-24f;
}

// noise adds a·(2·device.Uniform(seed, first+i) − 1).
static void NAME(noise)(float *x, float a, uint64_t first, long n, uint64_t seed) {
	for (long i = 0; i < n; i++) x[i] += a * (2 * NAME(uniform)(seed, first + (uint64_t)i) - 1);
}

// dropout keeps element i, divided by 1−p, iff device.Uniform(seed, first+i) ≥ p.
static void NAME(dropout)(float *y, const float *x, uint64_t first, long n, float p, uint64_t seed, int add) {
	float keep = 1 / (1 - p);
	for (long i = 0; i < n; i++) {
		float kept = NAME(uniform)(seed, first + (uint64_t)i) >= p ? x[i] * keep : 0;
		y[i] = add ? y[i] + kept : kept;
	}
}
