// Package safetensors reads and writes the safetensors container: eight bytes
// of header length, a JSON header that names tensors with dtype, shape and byte
// range, and their raw little-endian bytes
// (https://huggingface.co/docs/safetensors).
//
// [Open] maps a file into memory, so a tensor costs nothing until it is read.
// [Dir] reads a checkpoint of one or many files through its weight map.
// [Write] streams tensors to any writer; [Create] writes a file that appears
// whole or not at all. Files are checked before anything is believed: an error
// names the file, the tensor and the offset.
package safetensors
