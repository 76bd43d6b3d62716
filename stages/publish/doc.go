// Package publish turns an evaluated candidate into a version that can be used,
// and moves the aliases under which it is.
//
// # Consumes
//
// score: an evaluation that a training caused. A score of an evaluation that
// somebody asked for has no adapter; it publishes nothing, and says so in a note.
//
// # Produces
//
// release: one row, the new version. Its files are the adapter's own directory,
// loadable by PEFT as it is where the method is lora, with README.md (a model card), loss.svg (the loss
// curve) and lineage.dsse.json beside it: a signed statement of every file's
// digest and of what the model was made from (pipeline/lineage). [Verify] checks
// it all.
//
// model.alias: the same version as an entry of the model's history, with the
// aliases that move. What passed the gate becomes candidate and, unless
// publish.promote is manual, production; what was production becomes previous.
//
// A candidate that the gate refused gets a version too, so that it can be looked
// at, compared and asked about by name; it is marked with the rules that it
// broke, moves no alias, and can not be promoted.
//
// # Guarantees
//
// Versions count 1, 2, 3 without gaps. Version, aliases and release become
// visible together, and only if nobody changed the model since its history was
// read; otherwise the job is done again on top of the change. The files follow
// from the score, the version and the key; no time is in them.
//
// # Configuration
//
// [Config]: whether to promote. The signing key is a dependency.
//
// # Failure
//
// A dataset that is not exactly one score, and a candidate whose window or files
// are no window or files, are parked. What is missing in the store is retried:
// another machine may still be writing it.
package publish
