package window

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

const (
	// NearAgreement is the number of places, of [Permutations], in which the
	// signatures of near duplicates agree at least: an estimated similarity of
	// 0.8.
	NearAgreement = 103

	// bands are the parts by which signatures are looked up. Near duplicates
	// differ in at most 128 − 103 = 25 places; these cannot touch all of 32
	// bands, so near duplicates always share a band and a look-up misses none.
	bands = 32
	band  = Permutations / bands
)

// Near finds near duplicates among the signatures that were added to it. The
// zero value is empty and ready to use. It is not safe for concurrent use.
type Near struct {
	ids        []string
	signatures [][]uint32
	buckets    map[uint64][]int32 // hash of a band and its place → rows that have it, in the order of adding
	last       []int32            // last[i] is the look-up (counted from 1) that saw row i last
	lookups    int32
}

// Find returns the id of the first added row that is a near duplicate of sig.
func (n *Near) Find(sig []uint32) (id string, found bool) {
	row, found := n.find(sig)
	if !found {
		return "", false
	}
	return n.ids[row], true
}

// find is [Near.Find] by the number of the row.
func (n *Near) find(sig []uint32) (int, bool) {
	if len(sig) != Permutations {
		return 0, false
	}
	n.lookups++
	best := int32(len(n.ids))
	for b := range bands {
		for _, row := range n.buckets[bandHash(sig, b)] {
			if row >= best {
				break // rows are in ascending order: none of the rest is earlier
			}
			if n.last[row] == n.lookups {
				continue
			}
			n.last[row] = n.lookups
			if agreement(sig, n.signatures[row]) >= NearAgreement {
				best = row
				break
			}
		}
	}
	return int(best), int(best) < len(n.ids)
}

// Add makes a row known. A signature of another length than [Permutations] is
// ignored: a row without a signature is nobody's near duplicate.
func (n *Near) Add(id string, sig []uint32) {
	if len(sig) != Permutations {
		return
	}
	if n.buckets == nil {
		n.buckets = make(map[uint64][]int32)
	}
	row := int32(len(n.ids))
	n.ids = append(n.ids, id)
	n.signatures = append(n.signatures, sig)
	n.last = append(n.last, 0)
	for b := range bands {
		h := bandHash(sig, b)
		n.buckets[h] = append(n.buckets[h], row)
	}
}

// bandHash hashes the b-th band of sig together with b. Two bands that collide
// only cost a comparison.
func bandHash(sig []uint32, b int) uint64 {
	var key [4 * (band + 1)]byte
	binary.LittleEndian.PutUint32(key[:], uint32(b))
	for i, v := range sig[b*band : (b+1)*band] {
		binary.LittleEndian.PutUint32(key[4*(i+1):], v)
	}
	return xxhash.Sum64(key[:])
}
