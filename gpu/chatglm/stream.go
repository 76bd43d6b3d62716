package chatglm

// stream derives the seed of a stream of random numbers from a seed and
// counters. [device.Uniform] walks from its seed in equal steps, so seeds that
// were apart by such steps would give one stream, only shifted; here every
// counter goes through the output function of SplitMix64 first.
func stream(seed uint64, counters ...uint64) uint64 {
	z := seed
	for _, c := range counters {
		z ^= c + 0x9E3779B97F4A7C15
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		z ^= z >> 31
	}
	return z
}

// Streams beside those of the layers' LoRA branches, which are numbered from 0.
const (
	prefixNoise    = 1 << 32 // of the prefix's dropout
	embeddingNoise = 2 << 32 // of NEFTune, of the first sequence
)
