// The optimizers' steps. A moment of 8 bits is widened a block at a time, on the
// stack, and narrowed again behind the step.
#include "optimizer.h"

#include <string.h>

enum { RUN = 1 << 14 }; // weights of a task, whole blocks

struct step {
	weights w;
	tensor g;
	moment m, v;
	float factor;
	const float *constants;
	long n;
};

// front returns the moment's values from at on, of a block those that wide gets.
static float *front(cpu *d, moment m, int of_signed, float *wide, long at, long n) {
	if (!m.scale) return m.v ? (float *)m.v + at : NULL;
	d->isa->widen(wide, (const uint8_t *)m.v + at, m.scale[at / MOMENT_BLOCK], &d->codes[of_signed], n);
	return wide;
}

static void back(cpu *d, moment m, int of_signed, const float *wide, long at, long n) {
	if (m.scale) m.scale[at / MOMENT_BLOCK] = d->isa->narrow((uint8_t *)m.v + at, wide, &d->codes[of_signed], n);
}

// from is w from number i on.
static weights from(weights w, long i) { return (weights){skip(w.w, i), w.low ? w.low + i : NULL}; }

// TASK calls a step on the i-th run, block by block if a moment is of 8 bits.
#define TASK(name, call)                                                                        \
	static void name(cpu *d, long i, int worker, void *job) {                               \
		(void)worker;                                                                   \
		const struct step *j = job;                                                     \
		float wide_m[MOMENT_BLOCK], wide_v[MOMENT_BLOCK];                               \
		long end = least(j->n, (i + 1) * RUN);                                          \
		long stride = j->m.scale || j->v.scale ? MOMENT_BLOCK : RUN;                    \
		for (long at = i * RUN; at < end; at += stride) {                               \
			long n = least(stride, end - at);                                       \
			weights w = from(j->w, at);                                             \
			tensor g = skip(j->g, at);                                              \
			float *m = front(d, j->m, 1, wide_m, at, n);                            \
			float *v = front(d, j->v, 0, wide_v, at, n);                            \
			(void)v;                                                                \
			call;                                                                   \
			back(d, j->m, 1, wide_m, at, n);                                        \
			back(d, j->v, 0, wide_v, at, n);                                        \
		}                                                                               \
	}
TASK(adamw_task, d->isa->adamw(w, g, m, v, n, j->factor, j->constants))
TASK(sgd_task, d->isa->sgd(w, g, m, n, j->factor, j->constants))
TASK(lion_task, d->isa->lion(w, g, m, n, j->factor, j->constants))

static void step(cpu *d, task f, struct step j) {
	if (j.factor == j.factor) each(d, parts(j.n, RUN), j.n > 4 * RUN, f, &j);
}

void cpu_adamw(cpu *d, weights w, tensor g, moment m, moment v, long n, const float *factor, const float constants[8]) {
	step(d, adamw_task, (struct step){.w = w, .g = g, .m = m, .v = v, .factor = *factor, .constants = constants, .n = n});
}

void cpu_sgd(cpu *d, weights w, tensor g, moment m, long n, const float *factor, const float constants[5]) {
	step(d, sgd_task, (struct step){.w = w, .g = g, .m = m, .factor = *factor, .constants = constants, .n = n});
}

void cpu_lion(cpu *d, weights w, tensor g, moment m, long n, const float *factor, const float constants[6]) {
	step(d, lion_task, (struct step){.w = w, .g = g, .m = m, .factor = *factor, .constants = constants, .n = n});
}

struct average {
	weights average, w;
	float keep;
	long n;
};

static void average_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	const struct average *j = job;
	d->isa->average(from(j->average, i * RUN), from(j->w, i * RUN), least(RUN, j->n - i * RUN), j->keep);
}

void cpu_average(cpu *d, weights average, weights w, long n, float keep) {
	each(d, parts(n, RUN), n > 4 * RUN, average_task, &(struct average){average, w, keep, n});
}

// The sum of squares is one of so many sums at most, each over a run as long as it
// takes.
enum { MOST_SUMS = 512 };

struct squares {
	tensor g;
	long n, run;
	double sums[MOST_SUMS];
};

static void squares_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	struct squares *j = job;
	j->sums[i] = d->isa->squares(skip(j->g, i * j->run), least(j->run, j->n - i * j->run));
}

double cpu_squares(cpu *d, tensor g, long n) {
	struct squares j = {.g = g, .n = n, .run = parts(n / MOST_SUMS + 1, RUN) * RUN};
	double sum = 0;
	each(d, parts(n, j.run), n > 4 * RUN, squares_task, &j);
	for (long i = 0; i < parts(n, j.run); i++) sum += j.sums[i];
	return sum;
}

void cpu_codes(cpu *d) {
	for (int c = 0; c < 2; c++)
		for (uint32_t top = 0; top < 1 << 16; top++) {
			// The lowest of the floats that begin with these bits: of negative
			// ones that is the one of the largest magnitude.
			uint32_t bits = top << 16 | (top >> 15 ? 0xffff : 0);
			float x;
			memcpy(&x, &bits, 4);
			int code = 0;
			while (x > d->codes[c].above[code]) code++;
			d->codes[c].first[top] = (uint8_t)code;
		}
}
