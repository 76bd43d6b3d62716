// Package peak measures what a machine's processors do at best: multiplications
// and additions on registers alone, and reading memory much larger than any
// cache. Against these figures the engine's are held.
//
// Building it needs a C compiler; without cgo [Measure] says so.
package peak

import (
	"errors"
	"time"
)

// ErrNotBuilt says that the binary has no probe in it.
var ErrNotBuilt = errors.New("peak: built without cgo; install a C compiler and build with CGO_ENABLED=1")

// A Limit is the most there is of one thing.
type Limit struct {
	Name string  `json:"name"` // "fp32", "bf16 avx512", "bf16 amx", "read"
	Unit string  `json:"unit"` // "GFLOP/s" or "GB/s"
	Best float64 `json:"best"` // of several tries
}

// tries of each probe; the best counts.
const tries = 5

// spell is how long a probe should run, long enough for the clock and for the
// threads to start, short enough that nobody else gets in the way.
const spell = 60 * time.Millisecond
