// Vectors of sixteen and 32 registers.
#include "isa.h"
#ifdef X86_KERNELS
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#define LANES 16
#define MR 14 // 28 sums, 2 vectors of b and one of a
#define BLOCK_ROWS 6
#define BLOCK_COLS 4
#define NAME(f) f##_avx512
#include "inner.h"

const isa isa_avx512 = {.name = "avx512", KERNELS, ROUNDED_BF16};
#endif
