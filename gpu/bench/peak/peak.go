//go:build cgo && unix

package peak

/*
#cgo CFLAGS: -O3 -std=gnu11 -Wall -Wextra
#cgo LDFLAGS: -lpthread
#include "peak.h"
*/
import "C"

import "fmt"

// Measure runs every probe that this processor can, on that many threads at
// once. It takes about two seconds, and a quarter of a gibibyte a thread.
func Measure(threads int) ([]Limit, error) {
	if threads < 1 {
		return nil, fmt.Errorf("peak: %d threads: want 1 or more", threads)
	}
	var all []Limit
	for i := C.int(0); i < C.PROBES; i++ {
		name := C.GoString(C.peak_name(i))
		if name == "" {
			continue // this processor lacks the instructions
		}
		best := 0.0
		for range tries {
			rate := float64(C.peak_run(i, C.int(threads), C.double(spell.Seconds())))
			if rate < 0 {
				return nil, fmt.Errorf("peak: no %d threads with the memory of probe %q can be had: ask for fewer", threads, name)
			}
			best = max(best, rate)
		}
		unit := "GFLOP/s"
		if i == C.READ {
			unit = "GB/s"
		}
		all = append(all, Limit{Name: name, Unit: unit, Best: best / 1e9})
	}
	return all, nil
}
