// Package reference is the device in plain Go: one short function an operator,
// written to be read beside the formulas of [device.Device]. It is the
// specification of the other devices, the oracle of their tests, and what a
// build without a C compiler runs on.
//
// Storage is float32, sums are float64. Rows are shared out to goroutines, but
// each output element is always computed by one of them in one order.
package reference
