package devicetest

import (
	"fmt"
	"testing"

	"github.com/glmflow/glmflow/gpu/device"
)

// Tolerance is how far a device may be from float64. An element may differ by
// the tolerance times the sum of its own magnitude and the tensor's root mean
// square, for a sum of products that cancel is as exact as its terms, and, where
// it is stored in 16 bits, by half a unit in its last place.
type Tolerance struct {
	Product float64 // products of operands that bfloat16 has no numbers for
	Other   float64 // everything else
}

var (
	// FP32 is for float32 sums: a rounding is 6·10⁻⁸, the longest sums of the suite
	// have some thousand terms, whose roundings add up like a random walk to some
	// 2·10⁻⁶, and vector kernels' exponentials are good to a few of those.
	FP32 = Tolerance{Product: 1e-5, Other: 1e-5}
	// BF16 is for devices that round the operands of products to bfloat16, by up to
	// 2⁻⁹ of each: a product of two is off by 2⁻⁸ at most, the attention weights and
	// gradients that are rounded between two products by as much again, and softmax
	// of scores of up to 5 turns 2⁻⁸ of a score into 2 % of a weight.
	BF16 = Tolerance{Product: 3e-2, Other: 1e-5}
)

// Exercise runs the whole suite on the devices that open returns. It asks for
// one with each of 1, 2, 3 and 4 workers and expects the same bits from all, and
// for some with a budget.
func Exercise(t *testing.T, open func(device.Options) device.Device, tol Tolerance) *Summary {
	t.Helper()
	return NewSuite().Exercise(t, open, tol)
}

// A Suite holds the cases and their answers, so that several kinds of device
// can be compared with answers computed once.
type Suite struct{ cases []testCase }

// NewSuite computes the answers.
func NewSuite() *Suite {
	var all []testCase
	for _, cases := range []func() []testCase{
		embedCases, gatherCases, normCases, linearCases, adapterCases, mergeCases, swigluCases, rotaryCases,
		attentionCases, cachedCases, chunkCases, lossCases, hitCases, topKCases, sampleCases, advanceCases,
		vectorCases, noiseCases, clipCases, optimizerCases, averageCases, copyCases,
	} {
		all = append(all, cases()...)
	}
	return &Suite{cases: all}
}

// Exercise is what [Exercise] does.
func (s *Suite) Exercise(t *testing.T, open func(device.Options) device.Device, tol Tolerance) *Summary {
	t.Helper()
	var devices []device.Device
	opened := func(t *testing.T, o device.Options) device.Device {
		d := open(o)
		t.Cleanup(func() {
			if err := d.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		return d
	}
	for workers := 1; workers <= 4; workers++ {
		devices = append(devices, opened(t, device.Options{Workers: workers}))
	}
	sum := &Summary{Device: devices[0].Info().Kind, operators: map[string]*operatorSummary{}}
	for _, group := range []struct {
		name string
		test func(*testing.T, device.Device)
	}{{"info", info}, {"memory", memory}, {"order", order}, {"passes", passes}, {"threads", threads}} {
		t.Run(group.name, func(t *testing.T) {
			sum.Checks++
			group.test(t, devices[0])
		})
	}
	t.Run("budget", func(t *testing.T) {
		sum.Checks++
		budget(t, func(o device.Options) device.Device { return opened(t, o) })
	})
	t.Run("workspace", func(t *testing.T) {
		sum.Checks++
		workspace(t, devices[0], func(o device.Options) device.Device { return opened(t, o) })
	})
	for _, c := range s.cases {
		t.Run(c.name, func(t *testing.T) {
			first := c.on(t, devices[0])
			c.verify(t, first, tol, sum)
			c.same(t, "second run", c.on(t, devices[0]), first, sum)
			for i, d := range devices[1:] {
				c.same(t, fmt.Sprintf("%d workers", i+2), c.on(t, d), first, sum)
			}
		})
	}
	t.Log(sum)
	return sum
}
