package device

// Uniform is the counter-based random number in [0,1) that dropout uses on
// every device: SplitMix64 (Steele, Lea, Flood 2014) of seed and counter, its
// top 24 bits as a float32.
func Uniform(seed, counter uint64) float32 {
	z := seed + (counter+1)*0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	z ^= z >> 31
	return float32(z>>40) * 0x1p-24
}
