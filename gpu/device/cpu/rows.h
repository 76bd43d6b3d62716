// Kernels that go along a row once or twice. `for EACH` steps by a vector; get,
// put, take and give take care of the last one.
#define EACH(i, n) (long i = 0; i < (n); i += LANES)

// norm adds res, if there is one, to x and normalises the sum.
INLINE float NAME(norm_in)(const int a, const int r, void *y, void *sum, const void *x, const void *res, const float *w, long h, float eps) {
	vec s = {0};
	for EACH(i, h) {
		vec v = take(r, x, i, h);
		if (res) v = give(r, sum, i, h, v + take(a, res, i, h));
		s += v * v;
	}
	float rstd = 1 / sqrtf(sum_lanes(s) / (float)h + eps);
	for EACH(i, h) give(a, y, i, h, take(r, res ? sum : x, i, h) * rstd * get(w + i, h - i));
	return rstd;
}

static float NAME(norm)(tensor y, tensor sum, tensor x, tensor res, const float *w, long h, float eps) {
	return BY_FORMATS(NAME(norm_in), y.format, x.format, y.data, sum.data, x.data, res.data, w, h, eps);
}

INLINE void NAME(norm_backward_in)(const int a, const int r, void *dx, float *dw, const void *dy, const void *x, const float *w, float rstd, long h) {
	vec s = {0};
	for EACH(i, h) s += take(a, dy, i, h) * get(w + i, h - i) * take(r, x, i, h);
	float back = sum_lanes(s) / (float)h * rstd * rstd * rstd;
	for EACH(i, h) {
		vec g = take(a, dy, i, h), v = take(r, x, i, h);
		give(r, dx, i, h, take(r, dx, i, h) + (rstd * g * get(w + i, h - i) - v * back));
		if (dw) put(dw + i, get(dw + i, h - i) + g * v * rstd, h - i);
	}
}

static void NAME(norm_backward)(tensor dx, float *dw, tensor dy, tensor x, const float *w, float rstd, long h) {
	BY_FORMATS(NAME(norm_backward_in), dy.format, x.format, dx.data, dw, dy.data, x.data, w, rstd, h);
}

INLINE void NAME(swiglu_in)(const int a, void *z, const void *u, long f) {
	for EACH(i, f) {
		vec g = take(a, u, i, f), v = take(a, u, f + i, 2 * f);
		give(a, z, i, f, g / (1.0f + exponential(-g)) * v);
	}
}

static void NAME(swiglu)(tensor z, tensor u, long f) { BY_FORMAT(NAME(swiglu_in), u.format, z.data, u.data, f); }

INLINE void NAME(swiglu_backward_in)(const int a, void *du, const void *dz, const void *u, long f) {
	for EACH(i, f) {
		vec g = take(a, u, i, f), v = take(a, u, f + i, 2 * f), d = take(a, dz, i, f);
		vec s = 1.0f / (1.0f + exponential(-g));
		give(a, du, i, f, d * v * s * (1.0f + g * (1.0f - s)));
		give(a, du, f + i, 2 * f, d * g * s);
	}
}

static void NAME(swiglu_backward)(tensor du, tensor dz, tensor u, long f) {
	BY_FORMAT(NAME(swiglu_backward_in), u.format, du.data, dz.data, u.data, f);
}

// rotary turns adjacent pairs (x, y) by angles whose cosines and sines are in turn:
// to (x·cos − y·sin, y·cos + x·sin), or back for a sign of −1.
INLINE void NAME(rotary_in)(const int a, void *x, const float *turn, long n, float sign) {
	const pvec first = (pvec){0} + 0xffffffff; // of each pair
	const uvec minus = (uvec)(first & 0x80000000);
	for EACH(i, n) {
		vec v = take(a, x, i, n);
		pvec p = (pvec)v, t = (pvec)get(turn + i, n - i);
		vec other = (vec)(p << 32 | p >> 32), cosine = (vec)((t & first) | t << 32), sine = (vec)(t >> 32 | (t & ~first));
		give(a, x, i, n, v * cosine + other * (vec)((uvec)(sine * sign) ^ minus));
	}
}

static void NAME(rotary)(tensor x, const float *turn, long n, float sign) { BY_FORMAT(NAME(rotary_in), x.format, x.data, turn, n, sign); }

// sum_rows adds rows of x, each of n numbers, to y: one after the other, rounded
// once.
INLINE void NAME(sum_rows_in)(const int to, const int from, void *y, const void *x, const int32_t *row, long rows, long n) {
	for EACH(i, n) {
		vec s = take(to, y, i, n);
		for (long r = 0; r < rows; r++) s += take(from, x, row[r] * n + i, row[r] * n + n);
		give(to, y, i, n, s);
	}
}

static void NAME(sum_rows)(tensor y, tensor x, const int32_t *row, long rows, long n) {
	BY_FORMATS(NAME(sum_rows_in), y.format, x.format, y.data, x.data, row, rows, n);
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

// likeliest is 1 if the target is the first of the largest logits, else 0, and −1
// if a logit is not finite.
static int NAME(likeliest)(const float *z, long v, long target) {
	vec odd = {0};
	for EACH(i, v) odd += get(z + i, v - i) - get(z + i, v - i); // 0, but for infinities and what is no number
	if (sum_lanes(odd) != 0) return -1;
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
