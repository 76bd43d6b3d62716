// The optimizers' steps, as Go calls them.
#ifndef OPTIMIZER_H
#define OPTIMIZER_H

#include "kernels.h"

// A moment is n floats, or with scale n bytes of a code and a scale a block.
typedef struct moment {
	void *v;
	float *scale;
} moment;

// cpu_codes completes d->codes, whose value and above are given.
void cpu_codes(cpu *d);
// constants: β₁, 1−β₁, β₂, 1−β₂, lr/(1−β₁ᵗ), 1/(1−β₂ᵗ), ε, 1−lr·decay, scale of g.
void cpu_adamw(cpu *d, float *p, const float *g, moment m, moment v, long n, const float constants[9]);
// constants: μ, decay, lr, share of the gradient and of the moment in the step,
// scale of g. m.v is NULL without momentum.
void cpu_sgd(cpu *d, float *p, const float *g, moment m, long n, const float constants[6]);
// constants: β₁, 1−β₁, β₂, 1−β₂, lr, 1−lr·decay, scale of g.
void cpu_lion(cpu *d, float *p, const float *g, moment m, long n, const float constants[7]);

#endif
