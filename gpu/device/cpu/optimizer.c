// The optimizers' steps. A moment of 8 bits is widened a block at a time, on the
// stack, and narrowed again behind the step.
#include "optimizer.h"

#include <string.h>

enum { RUN = 1 << 14 }; // floats of a task, whole blocks

struct step_job {
	float *p;
	const float *g, *constants;
	moment m, v;
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

// TASK calls a step on the i-th run, block by block if a moment is of 8 bits.
#define TASK(name, call)                                                                        \
	static void name(cpu *d, long i, int worker, void *job) {                               \
		(void)worker;                                                                   \
		struct step_job *j = job;                                                       \
		float wide_m[MOMENT_BLOCK], wide_v[MOMENT_BLOCK];                               \
		long end = least(j->n, (i + 1) * RUN);                                          \
		long stride = j->m.scale || j->v.scale ? MOMENT_BLOCK : RUN;                    \
		for (long at = i * RUN; at < end; at += stride) {                               \
			long n = least(stride, end - at);                                       \
			float *m = front(d, j->m, 1, wide_m, at, n), *p = j->p + at;            \
			float *v = front(d, j->v, 0, wide_v, at, n);                            \
			const float *g = j->g + at, *k = j->constants;                          \
			(void)v;                                                                \
			call;                                                                   \
			back(d, j->m, 1, wide_m, at, n);                                        \
			back(d, j->v, 0, wide_v, at, n);                                        \
		}                                                                               \
	}
TASK(adamw_task, d->isa->adamw(p, g, m, v, n, k))
TASK(sgd_task, d->isa->sgd(p, g, m, n, k))
TASK(lion_task, d->isa->lion(p, g, m, n, k))

static void step(cpu *d, task f, struct step_job *j) { each(d, parts(j->n, RUN), j->n > 4 * RUN, f, j); }

void cpu_adamw(cpu *d, float *p, const float *g, moment m, moment v, long n, const float constants[9]) {
	step(d, adamw_task, &(struct step_job){.p = p, .g = g, .m = m, .v = v, .n = n, .constants = constants});
}

void cpu_sgd(cpu *d, float *p, const float *g, moment m, long n, const float constants[6]) {
	step(d, sgd_task, &(struct step_job){.p = p, .g = g, .m = m, .n = n, .constants = constants});
}

void cpu_lion(cpu *d, float *p, const float *g, moment m, long n, const float constants[7]) {
	step(d, lion_task, &(struct step_job){.p = p, .g = g, .m = m, .n = n, .constants = constants});
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
