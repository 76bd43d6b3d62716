// Package train is the fourth stage: it fine-tunes ChatGLM3 on one window.
//
// # Consumes
//
// train.due: a [schemas.TrainJob], which names a model and the manifest of a
// window (pipeline/window). The manifest says which conversations are for
// training and which for validation; the test split is not read here.
//
// # Produces
//
// adapter: one [schemas.AdapterRow], whose Files is the tree of a PEFT directory
// (adapter_config.json, adapter_model.safetensors), with method ptuning of a
// prefix directory (config.json, model.safetensors), with methods freeze and full
// of a whole Hugging Face checkpoint.
//
// # Guarantees
//
// The tree and the row follow from the window, the configuration, the base
// model, the adapter it continues and the kind of processor: nothing of the
// time, the machine or the number of workers is in them. What a job continues
// is decided at its first delivery and remembered, so that a promotion in the
// meantime changes nothing. A job that was interrupted, even by a crash, goes
// on from its last checkpoint when it is delivered again and ends with the
// bytes of an undisturbed one.
//
// # Configuration
//
// [Config]: what to start from, and all of [finetune.Options].
//
// # Failure
//
// A window of another vocabulary, a window without a supervised token and a
// training that diverges are parked: no retry can mend them. Everything else is
// retried, from the last checkpoint.
package train
