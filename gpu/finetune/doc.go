// Package finetune trains a ChatGLM3 model on encoded conversations.
//
// [Run] is the whole of it: it plans the order of the conversations, packs them
// into micro-batches, takes optimizer steps, validates now and then, keeps the
// best weights and stops when they no longer improve. What it needs from
// outside comes in as [Hooks]: somewhere to keep a checkpoint, and someone to
// tell about each step.
//
// # One step
//
// A step is up to Accumulate micro-batches of about BatchTokens tokens each.
// Its gradient is that of the mean over all supervised tokens of the step, so
// neither the packing nor the length of a conversation gives a token more
// weight than another; [ByBatches] has it otherwise.
//
// The device is given all of a step, gradients, clipping and update, and then
// waited for once. Whether a step is skipped, because its gradient is not finite,
// it decides by the same number as the host that reads it afterwards.
//
// # Determinism
//
// The plan is a function of the conversations' lengths, the options and the
// seed; dropout is a function of the seed and the micro-batch's number; the
// devices give the same bits on any number of workers. So a run is decided by
// its inputs. That is also what resuming rests on: a checkpoint holds the step
// number, the trainable parameters, what the optimizer remembers, their moving
// average, the best weights and the curve, and a run that was stopped anywhere
// ends with the bytes of one that was not.
//
// # Reading order
//
//	options.go options_check.go method.go optimizer.go bytes.go   what can be asked for
//	warnings.go                                                   and what is seldom meant
//	data.go plan.go                                               conversations, and their order
//	run.go step.go updater.go validate.go result.go               the run, and what it does
//	forecast.go memory.go                                         what it takes
//	checkpoint.go state.go digest.go resume.go diverge.go         going on, and going back
//	fingerprint.go foreign.go                                     whose checkpoints are whose
package finetune
