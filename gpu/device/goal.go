package device

// Goal is what CrossEntropy minimizes. The zero Goal is plain −log p(target),
// with p = softmax(x·Wᵀ). Of the others, a row's loss is
//
//	−Σ_j q[j]·log p[j] + Anchor·Σ_j b[j]·(log b[j] − log p[j])
//
// where q is (1−Smoothing)·onehot(target) + Smoothing/V (label smoothing,
// https://arxiv.org/abs/1512.00567) and b = softmax(Base·Wᵀ), which gets no
// gradient: KL(b‖p) holds p near what another model says.
type Goal struct {
	Smoothing float32 // 0 ≤ ε < 1
	Anchor    float32 // λ ≥ 0
	Base      Mem     // [M,H] inputs of the output layer in the other model; read where Anchor > 0
}

// Plain reports whether it is −log p(target) and no more.
func (g Goal) Plain() bool { return g.Smoothing == 0 && g.Anchor == 0 }
