// All inner kernels, compiled for the instruction set that the including file
// has chosen, and the table of them.
#include "format.h"
#include "isa.h"
#include "vec.h"
#include "block.h"
#include "narrow.h"
#include "numbers.h"
#include "rows.h"
#include "runs.h"
#include "steps.h"
#include "flash.h"
#ifdef BF16_PRODUCTS
#include "flash_pairs.h"
#endif

#define WORD vec
#define WORDS load
#define ONE(p) spread(*(p))
#define MULADD(c, a, b) ((c) + (a) * (b))
#define TILE NAME(tile)
#include "tile.h"

#include "pack.h"

// Where there are no products of bfloat16, those of rounded floats.
#define ROUNDED_BF16 .bf16 = {MR, 2 * LANES, 1, 1, NAME(pack_rounded), NAME(pack_rounded), NAME(tile), NULL, NULL}

#define KERNELS                                                                                     \
	.fp32 = {MR, 2 * LANES, 1, 1, NAME(pack), NAME(pack), NAME(tile), NULL, NULL}, \
	.dots = NAME(dots), .block = NAME(block),                                                   \
	.narrow_dots = NAME(narrow_dots), .decode = NAME(decode), .round = NAME(round),             \
	.singles = {1, LANES, NAME(rows_as_floats), NAME(rows_as_floats), NAME(product_singles),    \
	            NAME(softmax_singles), NAME(gradient_singles), NULL, NULL},                     \
	.turn = NAME(turn), .scale_lanes = NAME(scale_lanes), .merge = NAME(merge),                 \
	.rows_out = NAME(rows_out), .sum_heads = NAME(sum_heads), .inner = NAME(inner),             \
	.norm = NAME(norm),                                                                         \
	.norm_backward = NAME(norm_backward), .swiglu = NAME(swiglu),                               \
	.swiglu_backward = NAME(swiglu_backward), .loss = NAME(loss), .rotary = NAME(rotary),       \
	.sum_rows = NAME(sum_rows), .axpy = NAME(axpy),                                             \
	.convert = NAME(convert), .squares = NAME(squares), .dropout = NAME(dropout),               \
	.loss_toward = NAME(loss_toward), .likeliest = NAME(likeliest),                             \
	.tanh = NAME(tanh), .tanh_backward = NAME(tanh_backward),                                   \
	.noise = NAME(noise), .adamw = NAME(adamw), .sgd = NAME(sgd), .lion = NAME(lion),           \
	.average = NAME(average),                                                                   \
	.widen = NAME(widen), .narrow = NAME(narrow)

#define PAIRS(begin, end) .pairs = {2, LANES, NAME(rows_left), NAME(rows_right), NAME(product_pairs), NAME(softmax_pairs), NAME(gradient_pairs), begin, end}
