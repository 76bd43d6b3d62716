// Package chatglm is ChatGLM3: weights, forward and backward pass, adapters and
// generation, written once on top of gpu/device. In float32 it agrees with the
// original code to a few parts in 100,000: the tests hold it to activations
// that the original gave and to gradients that autograd gave.
//
// A newcomer reads config.go (the shape), weights.go (the names), forward.go
// (a page: the whole network) and backward.go (the same backwards). Batches are
// packed (pack.go): sequences lie end to end without padding and never attend
// across. lora.go puts adapters beside frozen weights; generate.go answers, with a
// cache in pages (pages.go). Where things lie in memory is said once each: weights
// in place.go, gradients in train.go, a pass in buffers.go; sketch.go makes models
// of no values, to find out what one would take.
//
//	model, err := chatglm.Open("models/chatglm3-6b", dev)
//	nll, targets, err := model.Loss(chatglm.Pack([]chatglm.Sequence{{IDs: ids, Labels: labels}}))
//
// The tokenizer is gpu/chatglm/tokenizer, the chat format gpu/chatglm/chat, the
// training loop gpu/finetune. Nothing here knows of files other than model and
// adapter directories (docs/formats/checkpoint.md), and nothing of
// conversations.
package chatglm
