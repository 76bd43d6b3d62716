//go:build cuda

// Every function of symbols.h as one jump through the table of load.c, by way of
// x16, which the procedure call standard leaves to such veneers.

#define SYMBOL(index, name) \
	.globl name; \
	.type name, %function; \
	name: adrp x16, glmflow_cuda_table + 8 * index; \
	ldr x16, [x16, #:lo12:glmflow_cuda_table + 8 * index]; \
	br x16; \
	.size name, . - name;

	.text
#include "symbols.h"
	.section .note.GNU-stack, "", %progbits
