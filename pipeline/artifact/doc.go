// Package artifact keeps the bulk of the flow: immutable bytes, named by their
// SHA-256.
//
// Events are small and carry a [Digest]; whoever holds the digest can fetch the
// bytes from any machine that reaches the [Store], and knows that they are the
// right ones, because every read is checked against the name. Writing the same
// bytes twice is a no-op, which is half of what makes a repeated job harmless.
//
// A [Store] lies on gocloud.dev/blob: a local directory, memory for tests, or a
// bucket. It knows two kinds of artifact, a file ([Store.Put]) and a tree
// ([Store.PutTree]): a canonical JSON manifest of files, whose digest names the
// whole directory. [Store.Checkout] turns a tree back into a directory on the
// local disk, once for each machine.
//
// Beside the artifacts lie a few named objects ([Store.Save], [Store.Load],
// [Store.Drop]): the checkpoints of jobs that are not finished. They are the only
// thing in a store that is ever overwritten.
//
// Layout of a store:
//
//	sha256/ab/abcdef…      artifacts, by the hex of their digest
//	state/…                named objects
//	staging/…              unfinished writes of a local directory; safe to delete when nothing runs
//	checkout/abcdef…/…     materialised trees of a local directory; safe to delete when nothing runs
//
// For a store that lies elsewhere both are on this machine: see [Cache].
package artifact
