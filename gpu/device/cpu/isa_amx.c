// As avx512bf16, with products on the tile registers of AMX (Intel Sapphire
// Rapids and later): 16 rows by 16 columns by 32 of k an instruction, sixteen
// times the rate of float32.
#include "isa.h"
#ifdef X86_KERNELS
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,amx-tile,amx-bf16")
#define LANES 16
#define MR 14
#define BLOCK_ROWS 6
#define BLOCK_COLS 4
#define NAME(f) f##_amx
#define BF16_PRODUCTS
#include "inner.h"
#include "pairs.h"

#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

// A panel is a series of slices, each of 32 values of k for 32 lanes, 2 KB. On
// the left a lane's values lie together (two tiles of sixteen rows); on the
// right pairs of k do, as in pairs.h (two tiles of sixteen columns side by side).
enum { EDGE = 16, SIDE = 2 * EDGE, SLICE = 2 * EDGE, SLICE_BYTES = 2 * SIDE * SLICE };

INLINE void pack_left_as(const int format, char *dst, const void *src, long lane_stride, long k_stride, long lanes, long k) {
	for (long l = 0; k_stride == 1 && l < SIDE; l++) {
		char *slice = dst + l * 2 * SLICE;
		for (long i = 0; i < k; i += SLICE, slice += SLICE_BYTES)
			store((float *)(void *)slice, pairs_along(format, src, l * lane_stride + i, l < lanes ? k - i : 0));
	}
	for (long i = 0; k_stride != 1 && i < k; i += SLICE, dst += SLICE_BYTES)
		for (long l = 0; l < SIDE; l += LANES) {
			vec r[LANES];
#pragma GCC unroll 16
			for (long j = 0; j < LANES; j++) r[j] = pair_down(format, src, (i + 2 * j) * k_stride + l, k_stride, lanes - l, k - i - 2 * j);
			transpose(r);
#pragma GCC unroll 16
			for (long j = 0; j < LANES; j++) store((float *)(void *)(dst + (l + j) * 2 * SLICE), r[j]);
		}
}

static void pack_left_amx(int format, void *to, long width, const void *src, long lane_stride, long k_stride, long lanes, long k) {
	(void)width;
	if (format == BF16)
		pack_left_as(BF16, to, src, lane_stride, k_stride, lanes, k);
	else
		pack_left_as(F32, to, src, lane_stride, k_stride, lanes, k);
}

static void pack_right_amx(int format, void *to, long width, const void *src, long lane_stride, long k_stride, long lanes, long k) {
	pack_pairs(format, to, width, src, lane_stride, k_stride, lanes, k);
	long words = (k + 1) / 2, whole = (k + SLICE - 1) / SLICE * EDGE;
	memset((float *)to + words * width, 0, 4 * (size_t)((whole - words) * width));
}

// begin_amx says that every tile is sixteen rows of 64 bytes. The table is
// static: gcc 12 takes the instruction to read eight bytes of it and would leave
// out the stores of the others.
static void begin_amx(void) {
	static const struct {
		uint8_t palette, start_row, reserved[14];
		uint16_t bytes[16];
		uint8_t rows[16];
	} config = {.palette = 1, .bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
	_tile_loadconfig(&config);
}

static void end_amx(void) { _tile_release(); }

// tile_amx keeps a square of SIDE by SIDE sums in tiles 0 to 3. Where it is
// whole and nothing scales it, the sums start from c and go back there directly.
static void tile_amx_bf16(long depth, const void *left, const void *right, float *c, long ldc, long rows, long cols, float alpha, int add, const float *bias) {
	const char *a = left, *b = right;
	int direct = rows == SIDE && cols == SIDE && alpha == 1 && (add || !bias), low = rows > EDGE, wide = cols > EDGE;
	if (direct && add) {
		_tile_loadd(0, c, 4 * ldc);
		_tile_loadd(1, c + EDGE, 4 * ldc);
		_tile_loadd(2, c + EDGE * ldc, 4 * ldc);
		_tile_loadd(3, c + EDGE * ldc + EDGE, 4 * ldc);
	} else {
		_tile_zero(0);
		_tile_zero(1);
		_tile_zero(2);
		_tile_zero(3);
	}
	for (; depth > 0; depth -= EDGE, a += SLICE_BYTES, b += SLICE_BYTES) {
		_tile_loadd(4, a, 2 * SLICE);
		_tile_loadd(6, b, 4 * SIDE);
		_tile_dpbf16ps(0, 4, 6);
		if (wide) {
			_tile_loadd(7, b + 4 * EDGE, 4 * SIDE);
			_tile_dpbf16ps(1, 4, 7);
		}
		if (low) {
			_tile_loadd(5, a + EDGE * 2 * SLICE, 2 * SLICE);
			_tile_dpbf16ps(2, 5, 6);
			if (wide) _tile_dpbf16ps(3, 5, 7);
		}
	}
	if (direct) {
		_tile_stored(0, c, 4 * ldc);
		_tile_stored(1, c + EDGE, 4 * ldc);
		_tile_stored(2, c + EDGE * ldc, 4 * ldc);
		_tile_stored(3, c + EDGE * ldc + EDGE, 4 * ldc);
		return;
	}
	float s[SIDE][SIDE];
	_tile_stored(0, &s[0][0], sizeof s[0]);
	_tile_stored(1, &s[0][EDGE], sizeof s[0]);
	_tile_stored(2, &s[EDGE][0], sizeof s[0]);
	_tile_stored(3, &s[EDGE][EDGE], sizeof s[0]);
	for (long i = 0; i < rows; i++, c += ldc)
		for (long j = 0; j < cols; j += LANES)
			put(c + j, load(&s[i][j]) * alpha + (add ? get(c + j, cols - j) : bias ? get(bias + j, cols - j) : (vec){0}), cols - j);
}

#include "flash_amx.h"

int amx_allowed(void) {
#if defined(__linux__)
	unsigned a, b, c, d;
	enum { TILES_AND_BF16 = 1 << 24 | 1 << 22, REQUEST = 0x1023, TILE_DATA = 18 };
	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & TILES_AND_BF16) != TILES_AND_BF16) return 0;
	return syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
#else
	return 0;
#endif
}

const isa isa_amx = {
	.name = "amx", KERNELS, PAIRS(begin_amx, end_amx),
	.bf16 = {SIDE, SIDE, 2, EDGE, pack_left_amx, pack_right_amx, tile_amx_bf16, begin_amx, end_amx},
};
#endif
