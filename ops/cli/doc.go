// Package cli is the command line: one file a verb, each a constructor that
// returns its cobra command.
//
// [Main] builds the root command, runs it and turns its error into an exit
// code (exit.go). root.go lists the verbs in the order in which help shows
// them. A command writes its answer to the command's output, what is only for
// people on the way (progress, notices) to its error output, and never looks
// at a global: what it needs of the world it has from [Env] and its flags.
//
// The engine's verbs (finetune, tokenize, score, generate, model) work on
// directories and files alone, without the flow:
//
//	engine.go   the flags they share: model, data, device
//	data.go     reading --data: chat logs of any known layout, or token rows
//
// testdata/script holds a script for each verb; they run with `go test` and
// read as examples.
package cli
