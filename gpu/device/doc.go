// Package device is the line between the model and the machine: the [Device]
// interface of fused operators, and the types their arguments have.
//
// Read device.go first: every operator with its shapes, and what holds for all of
// them. batch.go is what a pass is about, operands.go the arguments that are more
// than tensors, memory.go where numbers lie, format.go how they are stored.
//
// The model in gpu/chatglm is written once, on top of it. To add a machine,
// implement Device, return it [Checked], and pass devicetest.Exercise; to add an
// operator, write it first in device/reference, where it is meant to be read.
package device
