// Package clean is the second stage: it mends conversations, masks personal data
// in them and drops those that nothing good can be learned from.
//
// # Consumes
//
// dialogue.raw.
//
// # Produces
//
// One dialogue.clean dataset for each input, and dialogue.reject with what was
// dropped: rule, reason and a masked sample. The clean dataset's meta counts what
// every rule saw, let pass and changed, and what was masked (schemas.MetaRules,
// schemas.MetaPII). The rules, one a file, run in the order of rules.go.
//
// # Guarantees
//
// Every dialogue comes out exactly once, clean or rejected, with its id
// unchanged. What a rule changed is named in Dialogue.Edits. Output follows from
// the input and the configuration alone. Exact duplicates are dropped within one
// input, and of them the one stays that a window would keep, so that the cut into
// inputs leaves no trace; near-duplicates are not dropped here but where a window
// is cut, from the signature that this stage sets.
//
// # Configuration
//
// See [Config].
//
// # Failure
//
// Nothing in a dialogue makes the stage fail. A dataset that cannot be read is
// retried and then parked.
package clean
