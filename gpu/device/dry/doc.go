// Package dry is a device that computes nothing and counts: the bytes that are
// allocated at most, and the operations and bytes that every operator asks for.
//
// The programs that run on a device run on it, too, so what a training will take
// is known before its model is loaded: by running it here, with the same code.
// Nothing that is downloaded means anything.
//
//	d := dry.New(dry.Like(dev))
//	model, _ := chatglm.Sketch(config, d, "bf16")
//	… a step …
//	d.Peak(), d.Work().On(rates)
package dry
