// Vectors of four: SSE2, NEON, or whatever the compiler makes of them.
#define LANES 4
#define MR 4
#define BLOCK_ROWS 4
#define BLOCK_COLS 2
#define NAME(f) f##_portable
#include "inner.h"

const isa isa_portable = {.name = "portable", KERNELS, ROUNDED_BF16};
