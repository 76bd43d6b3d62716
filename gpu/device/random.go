package device

// SplitMix64 is number counter of the sequence that begins with seed (Steele,
// Lea, Flood 2014, "Fast splittable pseudorandom number generators"): every
// random number that a device draws, and the seeds of every stream of them.
func SplitMix64(seed, counter uint64) uint64 {
	z := seed + (counter+1)*0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// Uniform is a number in [0,1): the top 24 bits of SplitMix64.
func Uniform(seed, counter uint64) float32 {
	return float32(SplitMix64(seed, counter)>>40) * 0x1p-24
}

// Stream derives the seed of a stream of random numbers from a seed and
// counters. Uniform walks from its seed in equal steps, so seeds that were apart
// by such steps would give one stream, only shifted; here every counter goes
// through the output function first.
func Stream(seed uint64, counters ...uint64) uint64 {
	for _, c := range counters {
		seed = SplitMix64(seed^(c+0x9E3779B97F4A7C15), ^uint64(0))
	}
	return seed
}
