package devicetest

import (
	"math"
	"slices"

	"github.com/glmflow/glmflow/gpu/device"
)

// descending are the ids of scores from the highest to the lowest, of equal ones
// those of lower ids first.
func descending(scores []float64) []int {
	ids := make([]int, len(scores))
	for i := range ids {
		ids[i] = i
	}
	slices.SortStableFunc(ids, func(a, b int) int {
		switch {
		case scores[a] > scores[b]:
			return -1
		case scores[a] < scores[b]:
			return 1
		}
		return 0
	})
	return ids
}

// pick samples a token as device.Sampling says, by sorting everything. margin is
// by how much of the whole probability the sums may be off before another token
// comes out.
func pick(scores []float64, seen []int32, s device.Sampling, length int) (id int32, margin float64) {
	z := slices.Clone(scores)
	for i, v := range z {
		switch {
		case v-v != 0:
			return -1, 1
		case !isSeen(seen, i):
		case v > 0:
			z[i] = v / float64(s.Penalty)
		default:
			z[i] = v * float64(s.Penalty)
		}
	}
	order := descending(z)
	if s.Temperature == 0 {
		return int32(order[0]), 1
	}
	highest := z[order[0]]
	weight := func(i int) float64 { return math.Exp((z[i] - highest) / float64(s.Temperature)) }
	if k := int(s.TopK); k > 0 {
		order = order[:min(k, len(order))]
	}
	total := 0.0
	for _, i := range order {
		total += weight(i)
	}
	margin = 1
	if s.TopP < 1 {
		kept, sum := 0, 0.0
		for sum < float64(s.TopP)*total {
			sum += weight(order[kept])
			kept++
			margin = min(margin, math.Abs(float64(s.TopP)-sum/total))
		}
		order, total = order[:kept], sum
	}
	slices.Sort(order)
	u, sum := float64(device.Uniform(s.Seed, uint64(length)))*total, 0.0
	for n, i := range order {
		if n > 0 { // below the first there is nothing
			margin = min(margin, math.Abs(u-sum)/total)
		}
		if sum += weight(i); sum > u {
			if n+1 < len(order) { // nor above the last
				margin = min(margin, (sum-u)/total)
			}
			return int32(i), margin
		}
	}
	return int32(order[len(order)-1]), 0
}

func isSeen(seen []int32, id int) bool {
	return len(seen) > 0 && uint32(seen[id/32])>>(id%32)&1 == 1
}
