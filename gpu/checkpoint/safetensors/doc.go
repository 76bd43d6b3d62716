// Package safetensors reads and writes the safetensors container: eight bytes
// of header length, a JSON header that names tensors with dtype, shape and byte
// range, and their raw little-endian bytes
// (https://huggingface.co/docs/safetensors).
//
// [Open] reads the header alone, so a tensor costs nothing until it is read.
// Files are not mapped into memory: one that shrinks while it is read is then an
// error and not a crash. [Write] streams tensors to any writer; [Create] writes a
// file that appears whole or not at all, [CreateDir] a checkpoint of one or many.
// Headers are checked before anything is believed: an error names the file and
// the tensor or the offset. Package checkpoint reads directories.
package safetensors
