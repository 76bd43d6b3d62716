// Package ledger tells what happened: runs, models, and what waits for the next
// window.
//
// The stream is the only record. A [Ledger] reads it from the beginning, keeps
// what people and stages ask for in memory, and stays current while it is open;
// it can be thrown away and made again at any time, and two processes have equal
// ones. The command line, the console and the API all read it.
//
// # Runs
//
// A [Run] is all that follows from one request, tied together by the run id that
// events inherit. A job is an event of a kind that some stage consumes; it waits
// until a done record or a dead letter says what came of it. A run is settled
// when no job of it waits: only a job can bring further events, so nothing more
// will come. For that the ledger must know all stages of the flow, not only those
// that run in its own process.
//
// # Models
//
// A [Model] is its versions and its aliases, both folded from an append-only
// history of events: publishing, promoting and rolling back each append one.
// [Ledger.Promote] and [Ledger.Rollback] do so only if nobody else did since they
// looked.
//
// # What is fresh
//
// [Ledger.Fresh] is the catalog of pipeline/window: the tokens datasets that no
// living window of a model holds. A window dies, and gives its datasets back,
// when the gate rejects what was trained on it, or when its run settled without
// a release.
//
// # Memory
//
// A settled run takes about a kilobyte and 24 bytes an event; the oldest settled
// runs are forgotten beyond twenty thousand. A tokens dataset takes some 250
// bytes. Bulk stays in the stream: [Ledger.Events] reads it back for one run.
package ledger
