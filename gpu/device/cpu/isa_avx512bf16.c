// As avx512, with products of bfloat16 pairs: twice the rate of float32. The
// conversion happens inside packing and costs no pass of its own.
#include "isa.h"
#ifdef X86_KERNELS
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")
#define LANES 16
#define MR 14
#define BLOCK_ROWS 6
#define BLOCK_COLS 4
#define NAME(f) f##_avx512bf16
#define BF16_PRODUCTS
#include "inner.h"

#undef WORD
#undef WORDS
#undef ONE
#undef MULADD
#undef TILE
#define WORD __m512bh
#define WORDS(p) ((__m512bh)_mm512_loadu_si512(p))
#define ONE(p) ((__m512bh)_mm512_set1_epi32(*(const int32_t *)(const void *)(p)))
#define MULADD(c, a, b) ((vec)_mm512_dpbf16_ps((__m512)(c), a, b))
#define TILE tile_pairs
#include "tile.h"

#include "pairs.h"
#include "flash_dpbf16.h"

const isa isa_avx512bf16 = {
	.name = "avx512bf16", KERNELS, PAIRS(NULL, NULL),
	.bf16 = {MR, 2 * LANES, 2, 1, pack_pairs, pack_pairs, tile_pairs, NULL, NULL},
};
#endif
