// Each probe is a loop that does a known amount of work between two looks at
// the clock. Its accumulators are independent and more than the latency of the
// instruction asks for.
#define _GNU_SOURCE
#include "peak.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__) && !defined(__clang__)
#define X86 1
#include <immintrin.h>
#if defined(__linux__)
#include <sys/syscall.h>
#endif
#endif

enum { ROUNDS = 4096, SLAB = 256 << 20 }; // SLAB: bytes that each thread reads

typedef struct worker {
	int probe;
	double seconds; // how long to work at least
	void *slab;
	atomic_int *waiting; // threads that have not arrived yet
	double work, began, ended;
	volatile float sink; // keeps the results wanted
	pthread_t thread;
} worker;

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

// FMA is a function of ROUNDS fused multiply-adds on each of N accumulators of
// LANES floats; it returns how many operations those were.
#define FMA(NAME, LANES, N)                                                         \
	static double NAME(worker *w) {                                                  \
		typedef float vec __attribute__((vector_size(4 * LANES)));                   \
		vec acc[N], a, b;                                                            \
		for (int l = 0; l < LANES; l++) a[l] = 1.0f - w->sink, b[l] = w->sink;       \
		for (int i = 0; i < N; i++) acc[i] = a + (float)i;                           \
		for (int r = 0; r < ROUNDS; r++)                                             \
			_Pragma("GCC unroll 16") for (int i = 0; i < N; i++) acc[i] = acc[i] * a + b; \
		for (int i = 1; i < N; i++) acc[0] += acc[i];                                \
		w->sink = 1e-30f * acc[0][0];                                                \
		return 2.0 * LANES * N * ROUNDS;                                             \
	}

// READER is a function that adds up a slab too large for any cache, four vectors
// of LANES floats at a time, and asks for what lies a page ahead.
#define READER(NAME, LANES)                                                         \
	static double NAME(worker *w) {                                                  \
		typedef uint32_t vec __attribute__((vector_size(4 * LANES)));                \
		const vec *x = w->slab, *end = x + SLAB / sizeof *x;                         \
		vec a = {0}, b = a, c = a, d = a;                                            \
		for (; x < end; x += 4) {                                                    \
			for (int i = 0; i < 4; i += 16 / LANES) __builtin_prefetch((const char *)(x + i) + 4096); \
			a += x[0], b += x[1], c += x[2], d += x[3];                              \
		}                                                                            \
		a += b + c + d;                                                              \
		w->sink = 1e-30f * (a[0] & 1);                                               \
		return SLAB;                                                                 \
	}

FMA(fma_portable, 4, 12)
READER(read_portable, 4)

#ifdef X86
#pragma GCC push_options
#pragma GCC target("avx2,fma")
FMA(fma_avx2, 8, 12)
READER(read_avx2, 8)
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f")
FMA(fma_avx512, 16, 16)
READER(read_avx512, 16)
#pragma GCC pop_options

__attribute__((target("avx512f,avx512bf16"))) static double bf16_avx512(worker *w) {
	enum { N = 16 };
	__m512 acc[N];
	__m512bh a = (__m512bh)_mm512_set1_epi32(0x3f803f80), b = (__m512bh)_mm512_set1_epi32(0x38803880);
	for (int i = 0; i < N; i++) acc[i] = _mm512_set1_ps(w->sink + i);
	for (int r = 0; r < ROUNDS; r++)
		_Pragma("GCC unroll 16") for (int i = 0; i < N; i++) acc[i] = _mm512_dpbf16_ps(acc[i], a, b);
	for (int i = 1; i < N; i++) acc[0] = _mm512_add_ps(acc[0], acc[i]);
	w->sink = 1e-30f * _mm512_reduce_add_ps(acc[0]);
	return 64.0 * N * ROUNDS;
}

// bf16_amx multiplies two tiles of A[16,32] with two of B[32,16] into four of
// C[16,16], the most that eight tile registers hold.
__attribute__((target("amx-tile,amx-bf16"))) static double bf16_amx(worker *w) {
	struct { uint8_t palette, start, zero[14]; uint16_t bytes[16]; uint8_t rows[16]; } config = {.palette = 1};
	for (int i = 0; i < 8; i++) config.bytes[i] = 64, config.rows[i] = 16;
	_tile_loadconfig(&config);
	_tile_zero(0);
	_tile_zero(1);
	_tile_zero(2);
	_tile_zero(3);
	_tile_zero(4);
	_tile_zero(5);
	_tile_zero(6);
	_tile_zero(7);
	for (int r = 0; r < ROUNDS; r++) {
		_tile_dpbf16ps(0, 4, 6);
		_tile_dpbf16ps(1, 4, 7);
		_tile_dpbf16ps(2, 5, 6);
		_tile_dpbf16ps(3, 5, 7);
	}
	float c[256];
	_tile_stored(0, c, 64);
	_tile_release();
	w->sink = c[0];
	return 4.0 * 2 * 16 * 16 * 32 * ROUNDS;
}

// amx asks the system for the tile registers; Linux gives them to who asks
// (Documentation/arch/x86/xstate.rst).
static int amx(void) {
#if defined(__linux__)
	enum { REQUEST = 0x1023, TILES = 18 }; // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
	unsigned a = 7, b, c = 0, d;
	__asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	int bits = 1 << 22 | 1 << 24; // AMX-BF16, AMX-TILE
	return (d & bits) == (unsigned)bits && syscall(SYS_arch_prctl, REQUEST, TILES) == 0;
#else
	return 0;
#endif
}
#endif

typedef double (*probe)(worker *);

static probe chosen(int i) {
#ifdef X86
	__builtin_cpu_init();
	int avx512 = __builtin_cpu_supports("avx512f"), avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
	if (i == FP32 && avx512) return fma_avx512;
	if (i == FP32 && avx2) return fma_avx2;
	if (i == READ && avx512) return read_avx512;
	if (i == READ && avx2) return read_avx2;
	if (i == BF16_AVX512 && __builtin_cpu_supports("avx512bf16")) return bf16_avx512;
	if (i == BF16_AMX && amx()) return bf16_amx;
#endif
	if (i == FP32) return fma_portable;
	if (i == READ) return read_portable;
	return 0;
}

const char *peak_name(int i) {
	static const char *const names[PROBES] = {"fp32", "bf16 avx512", "bf16 amx", "read"};
	return chosen(i) ? names[i] : "";
}

static void *serve(void *argument) {
	worker *w = argument;
	probe run = chosen(w->probe);
	atomic_fetch_sub(w->waiting, 1);
	while (atomic_load(w->waiting) > 0) sched_yield();
	w->began = w->ended = now();
	for (; w->ended - w->began < w->seconds; w->ended = now()) w->work += run(w);
	return 0;
}

static void *slab(void) {
	void *p = mmap(0, SLAB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) return 0;
#ifdef MADV_HUGEPAGE
	madvise(p, SLAB, MADV_HUGEPAGE);
#endif
	for (long i = 0; i < SLAB; i += 4096) ((volatile char *)p)[i] = 1; // or every page is the same page of zeros
	return p;
}

double peak_run(int i, int threads, double seconds) {
	worker all[threads];
	atomic_int waiting = threads;
	int started = 0, failed = 0;
	double rate = 0;
	for (int t = 0; t < threads; t++) {
		all[t] = (worker){.probe = i, .seconds = seconds, .waiting = &waiting};
		if (i == READ && !(all[t].slab = slab())) failed = 1;
	}
	while (started < threads && !failed) {
		failed = pthread_create(&all[started].thread, 0, serve, &all[started]) != 0;
		started += !failed;
	}
	if (failed) atomic_store(&waiting, 0);
	for (int t = 0; t < started; t++) pthread_join(all[t].thread, 0);
	for (int t = 0; t < started; t++) rate += all[t].work / (all[t].ended - all[t].began);
	for (int t = 0; t < threads; t++)
		if (all[t].slab) munmap(all[t].slab, SLAB);
	return failed ? -1 : rate;
}
