#define _DEFAULT_SOURCE
#include "kernels.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

cpu *cpu_open(int workers, const isa *isa, int bf16, int64_t budget) {
	cpu *d = calloc(1, sizeof *d);
	if (!d) return NULL;
	d->isa = isa;
	d->bf16 = bf16;
	d->budget = budget;
	d->team = team_new(workers);
	if (d->team) return d;
	free(d);
	return NULL;
}

void cpu_close(cpu *d) {
	team_free(d->team);
	for (int i = 0; i < SCRATCHES; i++) cpu_free(d, d->scratch[i].start, d->scratch[i].bytes);
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

int64_t cpu_mapped(size_t bytes) {
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	return (int64_t)((bytes + page - 1) / page * page);
}

// cpu_alloc begins a large tensor with a huge page, where the system has those:
// address translations of products that go down the columns cost as much as the
// products themselves.
void *cpu_alloc(cpu *d, size_t bytes) {
	int64_t mapped = cpu_mapped(bytes);
	if (d->budget && d->used + mapped > d->budget) return NULL;
	size_t spare = bytes >= HUGE_PAGE ? HUGE_PAGE : 0;
	char *p = mmap(NULL, bytes + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) return NULL;
	d->used += mapped;
	if (!spare) return p;
	size_t before = -(uintptr_t)p % HUGE_PAGE, end = before + (size_t)mapped;
	if (before) munmap(p, before);
	if (end < bytes + spare) munmap(p + end, bytes + spare - end);
#ifdef MADV_HUGEPAGE
	madvise(p + before, bytes, MADV_HUGEPAGE);
#endif
	return p + before;
}

void cpu_free(cpu *d, void *start, size_t bytes) {
	if (!start) return;
	munmap(start, bytes);
	if (d) d->used -= cpu_mapped(bytes); // memory may outlive its device
}

int cpu_reserve(cpu *d, int which, size_t bytes) {
	if (d->scratch[which].bytes >= bytes) return 1;
	cpu_free(d, d->scratch[which].start, d->scratch[which].bytes);
	d->scratch[which].start = cpu_alloc(d, bytes);
	d->scratch[which].bytes = d->scratch[which].start ? bytes : 0;
	return d->scratch[which].start != NULL;
}

void *scratch(cpu *d, int which, size_t bytes) {
	if (d->rehearsing) {
		if (d->wanted[which] < bytes) d->wanted[which] = bytes;
		return d->nowhere;
	}
	if (d->fault) return NULL;
	// What is too small for this one grows further than it must, for the next ones.
	if (d->scratch[which].bytes < bytes && !cpu_reserve(d, which, bytes + bytes / 4) && !cpu_reserve(d, which, bytes)) d->fault = 1;
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
	region(d, wide && tasks > 1, each_body, &(struct each_job){d, tasks, f, job});
}

void region(cpu *d, int wide, team_body body, void *job) {
	if (!d->fault && !d->rehearsing) team_run(d->team, wide, body, job);
}
