// Vectors of LANES floats, in the compiler's own notation, so that one source
// serves every instruction set. The including file defines LANES, and NAME to
// give functions a suffix. What that notation cannot say, or says slowly, stands
// in vec_avx512.h, vec_avx2.h and, for everything else, vec_portable.h:
//
//	get put               the first lanes of a vector, from and to memory
//	larger smaller        of two lanes, the second where one is not a number
//	square_root
//	sum_lanes max_lanes   in halves: the order is part of the result
//	transpose             exchanges r[i][j] and r[j][i] of LANES vectors
//	halves bytes_signed bytes_unsigned
//	                      widen LANES integers of 16 and 8 bits
//	get_halves put_halves the first n of LANES integers of 16 bits, as get and put
//	f16_values            widens LANES numbers of IEEE 754 binary16
//	lookup                values[at % 16] of a table of sixteen
//	split join            take 2·LANES numbers apart, even places and odd places, and
//	                      put them together again
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef float vec __attribute__((vector_size(4 * LANES), may_alias));
typedef float vec_unaligned __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t ivec __attribute__((vector_size(4 * LANES), may_alias));
typedef uint32_t uvec __attribute__((vector_size(4 * LANES), may_alias));
typedef uint64_t pvec __attribute__((vector_size(4 * LANES), may_alias)); // pairs of lanes, the first one below
typedef double dvec __attribute__((vector_size(8 * LANES)));

#define INLINE static inline __attribute__((always_inline, unused))

// x - 0 is x even for -0, where x + 0 is not.
INLINE vec spread(float x) { return x - (vec){0}; }
INLINE vec load(const float *p) { return *(const vec_unaligned *)p; }
INLINE void store(float *p, vec v) { *(vec_unaligned *)p = v; }
INLINE vec choose(ivec yes, vec a, vec b) { return (vec)(((ivec)a & yes) | ((ivec)b & ~yes)); }

// get and put are load and store of the first n lanes; the others are 0 and
// left alone. They touch no memory beyond the n.
#if LANES == 16
#include "vec_avx512.h"
#elif LANES == 8
#include "vec_avx2.h"
#else
#include "vec_portable.h"
#endif

// rounded is v with each lane rounded to bfloat16, ties to even. Not-a-number
// stays that: rounding could carry it into infinity.
INLINE vec rounded(vec v) {
	ivec bits = (ivec)v, up = bits + 0x7fff + ((bits >> 16) & 1);
	return (vec)((ivec)choose(v == v, (vec)up, (vec)(bits | 0x400000)) & ~0xffff);
}

// get_bf16 and put_bf16 are get and put of numbers that are bfloat16 in memory.
INLINE vec get_bf16(const uint16_t *p, long n) { return (vec)(get_halves(p, n) << 16); }
INLINE void put_bf16(uint16_t *p, vec v, long n) { put_halves(p, (uvec)rounded(v) >> 16, n); }

// exponential is eˣ within 2 ulp for |x| < 87, its limits held beyond:
// 2ⁿ·eʳ with n = round(x/ln 2), ln 2 in two parts so that r is exact, and the
// Taylor polynomial of degree 7 for |r| ≤ ln 2 / 2.
INLINE vec exponential(vec x) {
	x = smaller(spread(88.0f), x);
	x = larger(spread(-87.0f), x);
	const float round = 0x1.8p23f; // adding it leaves no fraction bits
	vec n = (x * 0x1.715476p0f + round) - round;
	vec r = x - n * 0x1.62e4p-1f;
	r = r - n * 0x1.7f7d1cp-20f;
	vec p = spread(1.0f / 5040);
	p = p * r + 1.0f / 720;
	p = p * r + 1.0f / 120;
	p = p * r + 1.0f / 24;
	p = p * r + 1.0f / 6;
	p = p * r + 0.5f;
	p = p * r + 1.0f;
	p = p * r + 1.0f;
	ivec power = (__builtin_convertvector(n, ivec) + 127) << 23;
	return p * (vec)power;
}
