// Package safetensors reads and writes the safetensors container: eight bytes
// of header length, a JSON header that names tensors with dtype, shape and byte
// range, and their raw little-endian bytes
// (https://huggingface.co/docs/safetensors).
//
// [Open] reads the header alone, so a tensor costs nothing until it is read.
// [File.Read] and [File.ReadBytes] copy: a file that shrinks meanwhile is an
// error and not a crash. [File.Map] does not copy, and promises less. [Write] streams tensors to any writer; [Create] writes a
// file that appears whole or not at all, [CreateDir] a checkpoint of one or many.
// Headers are checked before anything is believed: an error names the file and
// the tensor or the offset. Package checkpoint reads directories.
package safetensors
