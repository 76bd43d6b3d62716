// Package tokenizer turns text into ChatGLM3's token ids and back.
//
// The vocabulary is the SentencePiece file tokenizer.model that every ChatGLM3
// checkpoint carries: byte-pair encoding with byte fallback, in which each text
// gets one leading "▁" (U+2581) and every space becomes "▁". [Load] reads it into
// a [Tokenizer], the plain-Go encoder. [Open] picks between that one and Hugging
// Face's Rust library, which is compiled in under the build tag hftokenizers and
// works on a tokenizer.json that [Tokenizer.HFJSON] derives from the same file.
// One conformance suite holds both to the same ids.
//
// Text never becomes a special token. "<|user|>" typed by a customer is seven
// ordinary pieces; the nine specials have ids behind the last piece and exist
// only where code puts them ([Special], package chat). This is what keeps a
// conversation from being forged by its content.
//
// [Train] makes a small vocabulary of the same form, for models that are not the
// 6B one: the demo trains its own.
//
// Read encoder.go for the contract, encode.go and decode.go for the algorithm,
// model.go for the file format.
package tokenizer
