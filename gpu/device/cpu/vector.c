// Operators on tensors as runs of numbers.
#include "kernels.h"

#include <math.h>

enum { RUN = 1 << 14 }; // numbers of a task

struct run {
	tensor y, x, of; // of: what is differentiated
	float a;
	long n;
	uint64_t seed;
};

// TASK calls a kernel on the i-th run.
#define TASK(name, call)                                               \
	static void name(cpu *d, long i, int worker, void *job) {      \
		(void)worker;                                          \
		const struct run *j = job;                             \
		long first = i * RUN, n = least(RUN, j->n - first);    \
		tensor y = skip(j->y, first), x = skip(j->x, first);   \
		call;                                                  \
	}
TASK(convert_task, d->isa->convert(y, x, n))
TASK(axpy_task, d->isa->axpy(y.data, j->a, x.data, n))
TASK(tanh_task, d->isa->tanh(y.data, x.data, n))
TASK(tanh_backward_task, d->isa->tanh_backward(y.data, x.data, skip(j->of, first).data, n))
TASK(dropout_task, d->isa->dropout(y, x, (uint64_t)first, n, j->a, j->seed, 0))

static void runs(cpu *d, task f, struct run j) { each(d, parts(j.n, RUN), j.n > 4 * RUN, f, &j); }

void cpu_convert(cpu *d, tensor y, tensor x, long n) { runs(d, convert_task, (struct run){.y = y, .x = x, .n = n}); }
void cpu_axpy(cpu *d, tensor y, float a, tensor x, long n) { runs(d, axpy_task, (struct run){.y = y, .x = x, .a = a, .n = n}); }
void cpu_tanh(cpu *d, tensor y, tensor x, long n) { runs(d, tanh_task, (struct run){.y = y, .x = x, .n = n}); }

void cpu_tanh_backward(cpu *d, tensor dx, tensor dy, tensor y, long n) {
	runs(d, tanh_backward_task, (struct run){.y = dx, .x = dy, .of = y, .n = n});
}

void cpu_dropout(cpu *d, tensor y, tensor x, long n, float p, uint64_t seed) {
	runs(d, dropout_task, (struct run){.y = y, .x = x, .a = p, .n = n, .seed = seed});
}

struct noise {
	tensor x;
	const pass *p;
	long h;
	float a;
	uint64_t seed;
};

// noise_task is a span of a sequence, whose numbers count from its first row.
static void noise_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	const struct noise *j = job;
	span s = j->p->spans[i];
	long begin = j->p->cu_seqlens[s.sequence], rows = j->p->cu_seqlens[s.sequence + 1] - begin;
	float a = j->a / (float)sqrt((double)rows * (double)j->h);
	d->isa->noise(skip(j->x, s.first * j->h), a, (uint64_t)((s.first - begin) * j->h), s.rows * j->h, stream(j->seed, (uint64_t)s.sequence));
}

void cpu_noise(cpu *d, tensor x, const pass *p, long h, float a, uint64_t seed) {
	struct noise j = {.x = x, .p = p, .h = h, .a = a, .seed = seed};
	each(d, p->span_count, p->m * h > 4 * RUN, noise_task, &j);
}
