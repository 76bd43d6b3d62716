// Package app puts a glmflow process together: broker, artifact store, ledger,
// device, and the stages it serves. It is the one place where all parts meet,
// and it holds no logic of its own beyond that.
//
// [Open] finds the flow that a configuration names: somebody's nats-server, the
// broker of a process that has the directory open already, or, if there is none,
// one of its own. [App.Serve] then works as stages until it is told to stop.
// Commands that only ask or tell do without Serve.
package app
