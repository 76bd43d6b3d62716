// Package trigger starts retrainings that nobody asks for by hand.
//
// A [Schedule] lies in the broker as a JetStream message schedule: the broker's
// own clock fires it, with or without any glmflow process running, once however
// many machines know of it. Set, List, Remove and Next of [Schedules] keep them;
// a [Clock] is the cron expression with its zone and tells the coming times.
//
// A firing is a message on glmflow.fire.<name>. The [Bridge] turns it into a
// train.request whose id follows from the firing alone, so that three bridges,
// a crash between two of its steps, or a second delivery still make one order.
//
// A [Threshold] orders a retraining when enough conversations have arrived that
// no window has seen.
//
// Whether an order leads to a training is decided where the window is cut: an
// order that finds too little ends as done with a note, which `glmflow runs`
// shows.
package trigger
