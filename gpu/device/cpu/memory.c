// Operators on memory as bytes.
#include "kernels.h"

#include <string.h>

enum { RUN = 1 << 16 }; // bytes of a task

struct bytes {
	char *to, *from;
	long n;
};

static void zero_task(cpu *d, long i, int worker, void *job) {
	(void)d, (void)worker;
	const struct bytes *j = job;
	memset(j->to + i * RUN, 0, (size_t)least(RUN, j->n - i * RUN));
}

static void copy_task(cpu *d, long i, int worker, void *job) {
	(void)d, (void)worker;
	const struct bytes *j = job;
	memcpy(j->to + i * RUN, j->from + i * RUN, (size_t)least(RUN, j->n - i * RUN));
}

static void swap_task(cpu *d, long i, int worker, void *job) {
	(void)d, (void)worker;
	const struct bytes *j = job;
	for (long end = least((i + 1) * RUN, j->n), first = i * RUN; first < end;) {
		char held[256];
		size_t n = (size_t)least((long)sizeof held, end - first);
		memcpy(held, j->to + first, n);
		memcpy(j->to + first, j->from + first, n);
		memcpy(j->from + first, held, n);
		first += (long)n;
	}
}

static void runs(cpu *d, task f, struct bytes j) { each(d, parts(j.n, RUN), j.n > 4 * RUN, f, &j); }

void cpu_zero(cpu *d, void *to, long bytes) { runs(d, zero_task, (struct bytes){.to = to, .n = bytes}); }
void cpu_copy(cpu *d, void *to, const void *from, long bytes) { runs(d, copy_task, (struct bytes){.to = to, .from = (char *)(uintptr_t)from, .n = bytes}); }
void cpu_swap(cpu *d, void *a, void *b, long bytes) { runs(d, swap_task, (struct bytes){.to = a, .from = b, .n = bytes}); }
