// Merging a LoRA branch into the weight that it stands beside.
#include "kernels.h"

#include <string.h>

enum {
	ROWS = 8,     // of a task: they share pieces of A
	PIECE = 1024, // numbers of a row that are widened at a time
};

// to_f16 rounds to binary16: half.ToF16.
static uint16_t to_f16(float x) {
	uint32_t b, sign;
	memcpy(&b, &x, 4);
	sign = b >> 16 & 0x8000;
	b &= 0x7fffffff;
	if (b > 0x7f800000) return (uint16_t)(sign | 0x7e00);
	if (b >= 0x477ff000) return (uint16_t)(sign | 0x7c00); // rounds to 65536 or more
	if (b < 0x38800000) { // below the smallest normal number: adding 1/2 leaves multiples of 2⁻²⁴
		float v;
		memcpy(&v, &b, 4);
		v += 0.5f;
		memcpy(&b, &v, 4);
		return (uint16_t)(sign | (b - 0x3f000000));
	}
	b += 0xfff + (b >> 13 & 1); // half of what is cut off, ties to even
	return (uint16_t)(sign | (b - (112 << 23)) >> 13);
}

// store rounds n numbers to the format, F32, BF16 or F16.
static void store(const isa *isa, int format, void *to, float *x, long n) {
	if (format != F16) {
		isa->convert((tensor){format, to}, (tensor){F32, x}, n);
		return;
	}
	for (long i = 0; i < n; i++) {
		uint16_t h = to_f16(x[i]);
		memcpy((char *)to + 2 * i, &h, 2);
	}
}

struct merge {
	const linear *l;
	const branch *b;
};

static void merge_task(cpu *d, long i, int worker, void *job) {
	(void)worker;
	const linear *l = ((struct merge *)job)->l;
	const branch *b = ((struct merge *)job)->b;
	long size = number_bytes(l->w.format);
	float sum[PIECE];
	for (long at = 0; at < l->i; at += PIECE)
		for (long o = i * ROWS; o < least((i + 1) * ROWS, l->o); o++) {
			long n = least(PIECE, l->i - at);
			char *w = (char *)(uintptr_t)l->w.data + (o * l->i + at) * size;
			if (l->w.format == F32)
				memcpy(sum, w, 4 * (size_t)n);
			else
				d->isa->decode(l->w.format, sum, w, NULL, 0, n);
			for (long k = 0; k < b->r; k++) d->isa->axpy(sum, b->scale * b->b[o * b->r + k], b->a + k * l->i + at, n);
			store(d->isa, l->w.format, w, sum, n);
		}
}

void cpu_merge(cpu *d, const linear *l, const branch *b) {
	each(d, parts(l->o, ROWS), l->o * l->i * b->r > 1 << 16, merge_task, &(struct merge){l, b});
}
