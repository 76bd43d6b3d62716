package device

import "math"

// Frequencies are the rotary angles per position, base^(−2i/P) for pair i in
// float32, as the original model holds them. The angle of a position is the
// float32 product pos·Frequencies()[i]; every device rounds there, so that
// they agree at long contexts.
func (s Heads) Frequencies() []float32 {
	f := make([]float32, s.Rotary/2)
	for i := range f {
		f[i] = float32(math.Pow(s.Base, -2*float64(i)/float64(s.Rotary)))
	}
	return f
}
