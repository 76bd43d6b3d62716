// Package sampling picks tokens by their scores, for devices whose memory is the
// host's: the highest few of a row ([Top]), and the next token of an answer as
// [device.Sampling] says ([Pick]).
//
// A vocabulary of 65,024 tokens is never sorted, and nothing of its size is
// allocated: scores are compared with the last of the best so far, and mostly
// that is all.
package sampling
