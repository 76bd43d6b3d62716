#include "isa.h"

#include <stddef.h>

const isa *isa_at(int i) {
	const isa *list[5];
	int n = 0;
#ifdef X86_KERNELS
	__builtin_cpu_init();
	int avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
	int bf16 = avx512 && __builtin_cpu_supports("avx512bf16");
	if (bf16 && amx_allowed()) list[n++] = &isa_amx;
	if (bf16) list[n++] = &isa_avx512bf16;
	if (avx512) list[n++] = &isa_avx512;
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) list[n++] = &isa_avx2;
#endif
	list[n++] = &isa_portable;
	return i < n ? list[i] : NULL;
}
