// Package devicetest is the conformance suite of [device.Device]: every
// operator, forward and backward, in every combination of formats that the
// interface allows, against float64 formulas that are written here a second
// time, as plainly as possible. A new device passes [Exercise] or is not one.
//
// For every case the suite also holds a device to the conventions: outputs are
// assigned over poison, gradients marked += are added to, arguments that are
// only read do not change, nothing is written beyond a tensor's ends, results are
// there after the one Sync that follows them, and neither a second run nor
// another number of workers changes a bit. What it found is a [Summary]: how many
// checks there were and the worst difference by operator.
//
// # How near is near enough
//
// A result may differ from float64 by the case's tolerance times the sum of its
// own magnitude and the tensor's root mean square, and by half a unit in its
// last place where it is stored in 16 bits: "rounded once" leaves no more. See
// [Tolerance] for the numbers. Operands that are held in BF16 are drawn as
// numbers that BF16 has, so their own rounding is no part of any difference.
//
// # Devices that compute later
//
// The reference and the C device have computed when a call returns, so on them a
// caller that reads too early, writes too early or relies on what a buffer held
// before is never found out. [Deferring] makes an honest second backend of any
// device: it behaves as one with a queue and memory of its own.
package devicetest
