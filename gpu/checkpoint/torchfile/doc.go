// Package torchfile reads the weights in a file that torch.save wrote
// (pytorch_model.bin): a zip archive with a pickle, data.pkl, that names
// tensors, and an entry of raw bytes for each storage, data/<key>.
//
// A pickle is a program, and to unpickle is to run it. Here none runs. The
// machine in pickle.go knows the few instructions that a dictionary of tensors
// needs, and tensor.go the few names that may occur in it, each of which makes a
// value of ours; anything else is an error. Nothing is unpacked: entries must be
// stored as they are, and a tensor's bytes are read where they lie in the file.
//
// A tensor must be contiguous. Errors name the entry or tensor, and the offset.
package torchfile
