// Package pipeline moves work through the flow. It knows no particular stage, no
// GPU and no HTTP.
//
// Read stage.go first: a [Stage] is a [Spec] and one method, Run, that does one
// [Job]. Then job.go: what a job can read, emit and report. The rest is what a
// stage never has to think about:
//
//   - flow.go: a [Flow] is a list of stages whose outputs meet inputs; the
//     console's picture and the docs derive from it.
//   - handover.go: [Do] runs one job and collects what it made, without a broker.
//   - runner.go, delivery.go, settle.go: a [Runner] does this for every event that arrives, and
//     keeps the promises of delivery.
//   - observer.go: hooks for metrics, logs and consoles.
//
// # What a stage can rely on
//
// An event is delivered until its job is done or dead, whatever crashes. Outputs
// become visible in one atomic step with the record that says the job is done,
// so nobody ever sees half of them, and a worker that was thought dead and comes
// back cannot hand over a second time. Work may be repeated; effects are not. That
// is why outputs must follow from the job, the configuration and the seed alone.
//
// # What happens to a job
//
//	Run returns            then
//	nil                    outputs and done record are committed, the event is acknowledged
//	Park(err)              a dead letter with err as reason; never again by itself
//	Later(d, err)          the same job again after d; no attempt is counted
//	another error, a panic the same job again after a growing pause, Attempts times; then dead
//	(the process died)     the same job again after the acknowledgement wait; counted as an attempt
//	(nothing, for a Lease) the context is cancelled and the job given to another worker; counted
//	ctx.Err() on shutdown  the same job again at once, here or elsewhere; not counted
//
// What is long keeps its intermediate results with [Job.State], so that a
// redelivery is a resume.
package pipeline
