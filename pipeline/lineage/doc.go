// Package lineage says where a model came from, in a form that can be checked.
//
// A [Statement] in the in-toto form lists the files of a release with their
// SHA-256 digests and, as its predicate, what they were made from: the base
// model, the window of conversations, the training options and seed, and the
// evaluation that let them through. [Sign] puts it into a DSSE envelope signed
// with an ed25519 key, kept as an nkey like the keys of the broker's users;
// [Verify] opens such an envelope and [Statement.Check] compares the files.
//
// Both forms are standards (https://in-toto.io/Statement/v1 and
// https://github.com/secure-systems-lab/dsse), so other tools read them too.
// Ed25519 signatures are deterministic: the same statement and key give the same
// envelope, byte for byte.
package lineage
