// Operators on tensors as runs of floats.
#include "kernels.h"

#include <string.h>

enum { RUN = 1 << 14 }; // floats of a task

struct run_job {
	float *y;
	const float *x, *of;
	double *sums;
	float a;
	long n;
	uint64_t seed;
};

#define TASK(name, call)                                            \
	static void name(cpu *d, long i, int worker, void *job) {   \
		(void)d, (void)worker;                              \
		struct run_job *j = job;                            \
		long at = i * RUN, n = least(RUN, j->n - at);       \
		call;                                               \
	}
TASK(copy_task, memmove(j->y + at, j->x + at, 4 * (size_t)n))
TASK(zero_task, memset(j->y + at, 0, 4 * (size_t)n))
TASK(axpy_task, d->isa->axpy(j->y + at, j->a, j->x + at, n))
TASK(scale_task, d->isa->scale(j->y + at, j->a, n))
TASK(squares_task, j->sums[i] = d->isa->squares(j->x + at, n))
TASK(tanh_task, d->isa->tanh(j->y + at, j->x + at, n))
TASK(tanh_backward_task, d->isa->tanh_backward(j->y + at, j->x + at, j->of + at, n))
TASK(dropout_task, d->isa->dropout(j->y + at, j->x + at, (uint64_t)at, n, j->a, j->seed, 0))
TASK(noise_task, d->isa->noise(j->y + at, j->a, (uint64_t)at, n, j->seed))

static void runs(cpu *d, task f, struct run_job *j) { each(d, parts(j->n, RUN), j->n > 4 * RUN, f, j); }

void cpu_copy(cpu *d, float *to, const float *from, long n) { runs(d, copy_task, &(struct run_job){.y = to, .x = from, .n = n}); }
void cpu_zero(cpu *d, float *x, long n) { runs(d, zero_task, &(struct run_job){.y = x, .n = n}); }
void cpu_axpy(cpu *d, float *y, float a, const float *x, long n) { runs(d, axpy_task, &(struct run_job){.y = y, .a = a, .x = x, .n = n}); }
void cpu_scale(cpu *d, float *x, float a, long n) { runs(d, scale_task, &(struct run_job){.y = x, .a = a, .n = n}); }
void cpu_tanh(cpu *d, float *y, const float *x, long n) { runs(d, tanh_task, &(struct run_job){.y = y, .x = x, .n = n}); }
void cpu_noise(cpu *d, float *x, float a, long n, uint64_t seed) { runs(d, noise_task, &(struct run_job){.y = x, .a = a, .n = n, .seed = seed}); }

void cpu_tanh_backward(cpu *d, float *dx, const float *dy, const float *y, long n) {
	runs(d, tanh_backward_task, &(struct run_job){.y = dx, .x = dy, .of = y, .n = n});
}

void cpu_dropout(cpu *d, float *y, const float *x, long n, float p, uint64_t seed) {
	runs(d, dropout_task, &(struct run_job){.y = y, .x = x, .a = p, .n = n, .seed = seed});
}

double cpu_squares(cpu *d, const float *x, long n) {
	double *sums = scratch(d, PARTIAL, 8 * (size_t)parts(n, RUN)), sum = 0;
	if (!sums) return 0;
	runs(d, squares_task, &(struct run_job){.x = x, .sums = sums, .n = n});
	for (long i = 0; i < parts(n, RUN); i++) sum += sums[i];
	return sum;
}
