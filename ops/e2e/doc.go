// Package e2e holds the tests of the whole house: all stages, a broker, an
// artifact store and a model small enough to be fine-tuned in seconds, put
// together by ops/app as every process of glmflow is. It has no code of its own.
//
// What a package can promise alone is tested there. Here stands what only the
// whole can promise: that a release verifies down to its conversations, that the
// same conversations give the same bytes however the work was cut, spread and
// interrupted, that processes may be killed, and that no input stops the flow.
//
// Tests that need more than one process run the test binary again as a process
// of the flow (process_test.go). It tells on its standard output where it stands,
// and can wait at a chosen point for its end; so nothing here depends on timing.
package e2e
