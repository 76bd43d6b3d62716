// Package demo takes conversations through the whole flow once, on one machine,
// in a few minutes, and tells what happened: generated logs of an invented shop
// (package corpus) or somebody's own, a tiny ChatGLM3 that is trained on small
// talk first ([Base]), one retraining through all stages over an embedded
// broker ([Run]), and a [Report].
//
// It uses the flow as everybody does and has no way of its own around it. A demo
// that was interrupted goes on where it stopped; one that finished is replaced
// by the next.
package demo
