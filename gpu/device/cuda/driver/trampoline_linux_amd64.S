//go:build cuda

// Every function of symbols.h as one jump through the table of load.c. Arguments
// stay where the caller put them.

#define SYMBOL(index, name) \
	.globl name; \
	.type name, @function; \
	name: jmp *glmflow_cuda_table + 8 * index(%rip); \
	.size name, . - name;

	.text
#include "symbols.h"
	.section .note.GNU-stack, "", @progbits
