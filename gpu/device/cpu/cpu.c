#define _DEFAULT_SOURCE
#include "kernels.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

cpu *cpu_open(int workers, const char *isa, int bf16) {
	cpu *d = calloc(1, sizeof *d);
	if (!d) return NULL;
	d->isa = isa ? isa_named(isa) : isa_best();
	d->bf16 = bf16;
	d->team = d->isa ? team_new(workers) : NULL;
	if (d->team) return d;
	free(d);
	return NULL;
}

void cpu_close(cpu *d) {
	team_free(d->team);
	for (int i = 0; i < SCRATCHES; i++) cpu_free(d->scratch[i].start, d->scratch[i].bytes);
	free(d);
}

int64_t cpu_memory(void) {
#ifdef _SC_PHYS_PAGES
	return (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
#else
	return 0;
#endif
}

enum { HUGE_PAGE = 2 << 20 };

// cpu_alloc begins a large tensor with a huge page, where the system has those:
// address translations of products that go down the columns cost as much as the
// products themselves.
void *cpu_alloc(size_t bytes) {
	size_t spare = bytes >= HUGE_PAGE ? HUGE_PAGE : 0;
	char *p = mmap(NULL, bytes + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) return NULL;
	if (!spare) return p;
	size_t page = (size_t)sysconf(_SC_PAGESIZE), before = -(uintptr_t)p % HUGE_PAGE, end = (before + bytes + page - 1) / page * page;
	if (before) munmap(p, before);
	if (end < bytes + spare) munmap(p + end, bytes + spare - end);
#ifdef MADV_HUGEPAGE
	madvise(p + before, bytes, MADV_HUGEPAGE);
#endif
	return p + before;
}

void cpu_free(void *start, size_t bytes) {
	if (start) munmap(start, bytes);
}

void *scratch(cpu *d, int which, size_t bytes) {
	if (d->fault) return NULL;
	if (d->scratch[which].bytes >= bytes) return d->scratch[which].start;
	cpu_free(d->scratch[which].start, d->scratch[which].bytes);
	size_t page = 1 << 16;
	bytes = (bytes + bytes / 4 + page - 1) / page * page;
	d->scratch[which].start = cpu_alloc(bytes);
	d->scratch[which].bytes = d->scratch[which].start ? bytes : 0;
	if (!d->scratch[which].start) d->fault = 1;
	return d->scratch[which].start;
}

struct each_job {
	cpu *d;
	long tasks;
	task f;
	void *job;
};

static void each_body(team *t, int worker, void *job) {
	struct each_job *e = job;
	for (long i; (i = team_claim(t)) < e->tasks;) e->f(e->d, i, worker, e->job);
}

void each(cpu *d, long tasks, int wide, task f, void *job) {
	struct each_job e = {d, tasks, f, job};
	if (!d->fault) team_run(d->team, wide && tasks > 1, each_body, &e);
}
