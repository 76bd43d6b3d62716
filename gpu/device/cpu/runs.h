// Kernels that go along a run of numbers.
#include "random.h"

static void NAME(axpy)(float *y, float a, const float *x, long n) {
	for EACH(i, n) put(y + i, get(y + i, n - i) + a * get(x + i, n - i), n - i);
}

INLINE void NAME(convert_in)(const int to, const int from, void *y, const void *x, long n) {
	for EACH(i, n) give(to, y, i, n, take(from, x, i, n));
}

static void NAME(convert)(tensor y, tensor x, long n) { BY_FORMATS(NAME(convert_in), y.format, x.format, y.data, x.data, n); }

INLINE double NAME(squares_in)(const int a, const void *x, long n) {
	dvec s = {0};
	double sum = 0;
	for EACH(i, n) {
		dvec v = __builtin_convertvector(take(a, x, i, n), dvec);
		s += v * v;
	}
	for (int i = 0; i < LANES; i++) sum += s[i];
	return sum;
}

static double NAME(squares)(tensor x, long n) { return BY_FORMAT(NAME(squares_in), x.format, x.data, n); }

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

// uniforms are device.Uniform(seed, first) and the following ones.
INLINE vec NAME(uniforms)(uint64_t seed, uint64_t first) {
	float u[LANES];
	for (int i = 0; i < LANES; i++) u[i] = (float)(int32_t)(splitmix64(seed, first + (uint64_t)i) >> 40) * 0x1p-24f;
	return load(u);
}

// noise adds a·(2·device.Uniform(seed, first+i) − 1).
INLINE void NAME(noise_in)(const int r, void *x, float a, uint64_t first, long n, uint64_t seed) {
	for EACH(i, n) give(r, x, i, n, take(r, x, i, n) + a * (2.0f * NAME(uniforms)(seed, first + (uint64_t)i) - 1.0f));
}

static void NAME(noise)(tensor x, float a, uint64_t first, long n, uint64_t seed) { BY_FORMAT(NAME(noise_in), x.format, x.data, a, first, n, seed); }

// dropout keeps element i, divided by 1−p, iff device.Uniform(seed, first+i) ≥ p.
INLINE void NAME(dropout_in)(const int to, const int from, void *y, const void *x, uint64_t first, long n, float p, uint64_t seed, int add) {
	float keep = 1 / (1 - p);
	for EACH(i, n) {
		vec kept = choose(NAME(uniforms)(seed, first + (uint64_t)i) >= p, take(from, x, i, n) * keep, (vec){0});
		if (add) kept += take(to, y, i, n);
		give(to, y, i, n, kept);
	}
}

static void NAME(dropout)(tensor y, tensor x, uint64_t first, long n, float p, uint64_t seed, int add) {
	BY_FORMATS(NAME(dropout_in), y.format, x.format, y.data, x.data, first, n, p, seed, add);
}
