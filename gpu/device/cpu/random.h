// Random numbers, as device/random.go draws them.
#ifndef RANDOM_H
#define RANDOM_H

#include <stdint.h>

static inline uint64_t splitmix64(uint64_t seed, uint64_t counter) {
	uint64_t z = seed + (counter + 1) * 0x9E3779B97F4A7C15u;
	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	return z ^ z >> 31;
}

// stream is the seed of a stream of its own: device.Stream with one counter.
static inline uint64_t stream(uint64_t seed, uint64_t counter) {
	return splitmix64(seed ^ (counter + 0x9E3779B97F4A7C15u), ~(uint64_t)0);
}

#endif
