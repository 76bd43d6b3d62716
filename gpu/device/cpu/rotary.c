// Rotary positions.
#include "kernels.h"

enum { ROWS = 32 };

struct rotary {
	tensor qkv;
	const int32_t *positions;
	const float *table; // cos and sin: [position][P/2][2]
	long m;
	heads s;
	float sign;
};

static void rotary_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	const struct rotary *j = job;
	heads s = j->s;
	for (long m = i * ROWS; m < least((i + 1) * ROWS, j->m); m++) {
		const float *turn = j->table + j->positions[m] * s.rotary;
		// Queries and keys lie side by side; values stay as they are.
		tensor row = skip(j->qkv, m * width(s));
		for (long head = 0; head < s.a + s.g; head++) d->isa->rotary(skip(row, head * s.d), turn, s.rotary, j->sign);
	}
}

void cpu_rotary(cpu *d, tensor qkv, const pass *p, const float *table, heads s, int inverse) {
	struct rotary j = {.qkv = qkv, .positions = p->positions, .table = table, .m = p->m, .s = s, .sign = inverse ? -1 : 1};
	each(d, parts(p->m, ROWS), p->m * width(s) > 1 << 14, rotary_task, &j);
}
