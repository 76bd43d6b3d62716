// Package window decides what one retraining learns from.
//
// Conversations reach the train stage not shard by shard but as a window: a
// manifest that names exactly which rows are trained on, which choose the best
// checkpoint and which are held out for the verdict. Whoever has the manifest
// can repeat the retraining bit for bit.
//
// The [Cutter] is the stage that turns a train.request into a train.due. It
// collects the tokens datasets that no living window holds, puts their rows in
// one canonical order, drops exact and near duplicates (of each other, and of
// what earlier windows published) and deals the rest into train, validation and
// test by a keyed hash. Nothing in a [Manifest] depends on how the rows were cut
// into datasets or on the order in which they arrived.
//
// # Near duplicates
//
// [Signature] is a MinHash of a conversation's text; stages/clean puts it into
// the row, where it travels with the conversation. Two conversations count as
// copies of each other when their signatures agree in at least [NearAgreement]
// of [Permutations] places, which estimates that they share four fifths of their
// five-letter pieces. [Near] finds such a pair without comparing every row with
// every other, and misses none. Of a cluster of copies the member that was
// published first stays, within one window the one with the smallest id.
//
// # Living windows
//
// A window lives from the moment it is cut. It holds its conversations, so that
// no other window trains on them, until its run came to nothing: rejected by the
// gate, parked or cancelled. Then it gives them back and the next order takes
// them together with what is new. An order that finds nothing new ends without
// a train.due and says so.
package window
