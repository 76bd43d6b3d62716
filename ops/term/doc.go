// Package term draws for people at a terminal: progress that renews one line
// (progress.go), the loss curve (plot.go), tables and wrapped text in which a
// Chinese character is two columns wide (table.go).
//
// Everything takes the writer and the width to draw for, so that the same code
// serves a terminal of any width, a pipe and a golden test. Colour is left out
// where the writer is no terminal or NO_COLOR is set.
package term
