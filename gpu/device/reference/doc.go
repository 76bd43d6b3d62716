// Package reference is the device in plain Go: one short function an operator,
// written to be read beside the formulas of [device.Device]. It is the
// specification of the other devices, the oracle of their tests, and what a
// build without a C compiler runs on.
//
// reference.go is the device itself, memory.go how its tensors are read and
// stored, pass.go what it keeps of a batch; the other files are the operators.
//
// Sums are float64, and what an operator makes is float32 until it is stored:
// a tensor in bfloat16 gets that rounded, once. Rows are shared out to
// goroutines, but each output element is always computed by one of them in one
// order.
package reference
