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

// cpu_squares is Σg², summed in the same parts and order by any number of workers.
double cpu_squares(cpu *d, tensor g, long n);

// The steps multiply gradients by *factor, and do nothing if that is not a number.
// constants: β₁, 1−β₁, β₂, 1−β₂, lr/(1−β₁ᵗ), 1/(1−β₂ᵗ), ε, 1−lr·decay.
void cpu_adamw(cpu *d, weights w, tensor g, moment m, moment v, long n, const float *factor, const float constants[8]);
// constants: μ, decay, lr, share of the gradient and of the moment in the step.
// m.v is NULL without momentum.
void cpu_sgd(cpu *d, weights w, tensor g, moment m, long n, const float *factor, const float constants[5]);
// constants: β₁, 1−β₁, β₂, 1−β₂, lr, 1−lr·decay.
void cpu_lion(cpu *d, weights w, tensor g, moment m, long n, const float *factor, const float constants[6]);
void cpu_average(cpu *d, weights average, weights w, long n, float keep);

#endif
