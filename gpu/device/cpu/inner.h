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
	.fp32 = {MR, 2 * LANES, 1, 1, NAME(pack), NAME(pack), NAME(tile), NULL, NULL}, .transpose = NAME(transpose), \
	.dots = NAME(dots), .block = NAME(block),                                                   \
	.narrow_dots = NAME(narrow_dots), .decode = NAME(decode), .round = NAME(round),             \
	.softmax_step = NAME(softmax_step), .softmax_row = NAME(softmax_row),                       \
	.scores_backward = NAME(scores_backward), .inner = NAME(inner), .norm = NAME(norm),         \
	.norm_backward = NAME(norm_backward), .swiglu = NAME(swiglu),                               \
	.swiglu_backward = NAME(swiglu_backward), .loss = NAME(loss), .rotary = NAME(rotary),       \
	.sum_rows = NAME(sum_rows), .axpy = NAME(axpy), .scale = NAME(scale),                       \
	.convert = NAME(convert), .squares = NAME(squares), .dropout = NAME(dropout),               \
	.loss_toward = NAME(loss_toward), .likeliest = NAME(likeliest),                             \
	.tanh = NAME(tanh), .tanh_backward = NAME(tanh_backward),                                   \
	.noise = NAME(noise), .adamw = NAME(adamw), .sgd = NAME(sgd), .lion = NAME(lion),           \
	.average = NAME(average),                                                                   \
	.widen = NAME(widen), .narrow = NAME(narrow)
