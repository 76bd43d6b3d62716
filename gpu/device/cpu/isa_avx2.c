// Vectors of eight: every x86 processor since 2013 (Haswell) or 2015 (Excavator);
// all of those have F16C, too.
#include "isa.h"
#ifdef X86_KERNELS
#pragma GCC target("avx2,fma,f16c")
#define LANES 8
#define MR 6 // 12 sums, 2 vectors of b and one of a fill the 16 registers
#define BLOCK_ROWS 6
#define BLOCK_COLS 2
#define NAME(f) f##_avx2
#include "inner.h"

const isa isa_avx2 = {.name = "avx2", KERNELS, ROUNDED_BF16};
#endif
