// Operators on tensors as runs of floats.
#include "kernels.h"

#include <string.h>

enum { RUN = 1 << 14 }; // floats of a task

struct run_job {
	float *y, *m, *v;
	const float *x, *constants;
	double *sums;
	float a;
	long n;
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
TASK(adamw_task, d->isa->adamw(j->y + at, j->x + at, j->m + at, j->v + at, n, j->constants))

static void runs(cpu *d, task f, struct run_job *j) { each(d, parts(j->n, RUN), j->n > 4 * RUN, f, j); }

void cpu_copy(cpu *d, float *to, const float *from, long n) { runs(d, copy_task, &(struct run_job){.y = to, .x = from, .n = n}); }
void cpu_zero(cpu *d, float *x, long n) { runs(d, zero_task, &(struct run_job){.y = x, .n = n}); }
void cpu_axpy(cpu *d, float *y, float a, const float *x, long n) { runs(d, axpy_task, &(struct run_job){.y = y, .a = a, .x = x, .n = n}); }
void cpu_scale(cpu *d, float *x, float a, long n) { runs(d, scale_task, &(struct run_job){.y = x, .a = a, .n = n}); }

void cpu_adamw(cpu *d, float *p, const float *g, float *m, float *v, long n, const float constants[9]) {
	runs(d, adamw_task, &(struct run_job){.y = p, .x = g, .m = m, .v = v, .constants = constants, .n = n});
}

double cpu_squares(cpu *d, const float *x, long n) {
	double *sums = scratch(d, PARTIAL, 8 * (size_t)parts(n, RUN)), sum = 0;
	if (!sums) return 0;
	runs(d, squares_task, &(struct run_job){.x = x, .sums = sums, .n = n});
	for (long i = 0; i < parts(n, RUN); i++) sum += sums[i];
	return sum;
}
