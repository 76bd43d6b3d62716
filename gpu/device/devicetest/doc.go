// Package devicetest is the conformance suite of [device.Device]: every
// operator, forward and backward, against float64 formulas that are written
// here a second time, as plainly as possible. A new device passes [Exercise] or
// is not one.
//
// For every case the suite also holds a device to the conventions: outputs are
// assigned over poison, gradients marked += are added to, arguments that are
// only read do not change, nothing is written beyond a tensor's ends, and
// neither a second run nor another number of workers changes a bit.
package devicetest
