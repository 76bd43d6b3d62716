package device

// Prefix is keys and values that stand before every sequence (P-Tuning v2,
// https://arxiv.org/abs/2110.07602): every row attends to all of them. They are
// used as they are: nothing rotates them, and they take no positions.
//
// Position n of group g is floats n·Stride + g·D up to n·Stride + (g+1)·D of
// both, so that the layers of a model may share one table. As the gradient of a
// prefix it is a place of the same layout, "+=", summed over all sequences.
type Prefix struct {
	K, V   Mem // (N−1)·Stride + G·D floats
	N      int // positions
	Stride int // floats from one position to the next, G·D or more
}

// Fits reports whether the prefix has the size that it says, for heads of shape s.
func (p *Prefix) Fits(s Heads) bool {
	n := (p.N-1)*p.Stride + s.G*s.D
	return p.N > 0 && p.Stride >= s.G*s.D && p.K.N == n && p.V.N == n
}
