// Package device is the line between the model and the machine: the [Device]
// interface of fused operators, and the types their arguments have.
//
// The model in gpu/chatglm is written once, on top of it. To add a machine,
// implement Device and pass devicetest.Exercise; to add an operator, write it
// first in device/reference, where it is meant to be read.
package device
