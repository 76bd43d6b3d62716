// Package talk is a conversation with a model in a terminal or through a pipe.
//
// conversation.go keeps the messages, lets the oldest turns leave where the
// model's context ends, and asks for answers. talk.go is the loop: read, answer,
// show; command.go is what begins with a slash; file.go saves and loads.
// editor.go reads a person's messages on a terminal, lines.go a program's from a
// pipe.
//
// A tool that the model calls is never run here: the call is shown, and whoever
// talks gives its result.
package talk
