// vec.h's functions for any number of lanes, in plain C.

INLINE vec get(const float *p, long n) {
	if (n >= LANES) return load(p);
	float t[LANES] = {0};
	if (n > 0) memcpy(t, p, 4 * (size_t)n);
	return load(t);
}

INLINE void put(float *p, vec v, long n) {
	float t[LANES];
	store(t, v);
	if (n >= LANES)
		store(p, v);
	else if (n > 0)
		memcpy(p, t, 4 * (size_t)n);
}

INLINE vec larger(vec a, vec b) { return choose(a > b, a, b); }
INLINE vec smaller(vec a, vec b) { return choose(a < b, a, b); }

INLINE vec square_root(vec x) {
	for (int i = 0; i < LANES; i++) x[i] = sqrtf(x[i]);
	return x;
}

INLINE float sum_lanes(vec v) {
	for (int half = LANES / 2; half; half /= 2)
		for (int i = 0; i < half; i++) v[i] += v[i + half];
	return v[0];
}

INLINE float max_lanes(vec v) {
	float top = v[0];
	for (int i = 1; i < LANES; i++) top = v[i] > top ? v[i] : top;
	return top;
}

INLINE void transpose(vec r[LANES]) {
	for (int i = 0; i < LANES; i++)
		for (int j = 0; j < i; j++) {
			float x = r[i][j];
			r[i][j] = r[j][i];
			r[j][i] = x;
		}
}

INLINE uvec halves(const uint8_t *p) {
	uint16_t t[LANES];
	uvec v;
	memcpy(t, p, sizeof t);
	for (int i = 0; i < LANES; i++) v[i] = t[i];
	return v;
}

INLINE uvec get_halves(const uint16_t *p, long n) {
	uvec v = {0};
	for (int i = 0; i < LANES && i < n; i++) v[i] = p[i];
	return v;
}

INLINE void put_halves(uint16_t *p, uvec v, long n) {
	for (int i = 0; i < LANES && i < n; i++) p[i] = (uint16_t)v[i];
}

INLINE ivec bytes_signed(const uint8_t *p) {
	ivec v;
	for (int i = 0; i < LANES; i++) v[i] = (int8_t)p[i];
	return v;
}

INLINE uvec bytes_unsigned(const uint8_t *p) {
	uvec v;
	for (int i = 0; i < LANES; i++) v[i] = p[i];
	return v;
}

INLINE vec f16_values(const uint8_t *p) {
	uvec bits = halves(p), magnitude = bits & 0x7fff;
	// The exponents differ by 112, and that of infinity is the largest of both.
	uvec v = (uvec)((vec)(magnitude << 13) * 0x1p112f);
	v |= (uvec)(magnitude >= 0x7c00) & 0x7f800000;
	return (vec)(v | (bits & 0x8000) << 16);
}

INLINE vec lookup(const float values[16], uvec at) {
	vec v;
	for (int i = 0; i < LANES; i++) v[i] = values[at[i] & 15];
	return v;
}

INLINE void split(vec a, vec b, vec *even, vec *odd) {
	float t[2 * LANES];
	store(t, a);
	store(t + LANES, b);
	for (int i = 0; i < LANES; i++) {
		(*even)[i] = t[2 * i];
		(*odd)[i] = t[2 * i + 1];
	}
}

INLINE void join(vec even, vec odd, vec *a, vec *b) {
	float t[2 * LANES];
	for (int i = 0; i < LANES; i++) {
		t[2 * i] = even[i];
		t[2 * i + 1] = odd[i];
	}
	*a = load(t);
	*b = load(t + LANES);
}
