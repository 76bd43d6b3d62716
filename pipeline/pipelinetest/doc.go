// Package pipelinetest proves that a stage keeps the contract of pipeline.Stage.
//
// [Run] does one job in memory and shows what came of it; use it to test what a
// stage makes. [Exercise] is the conformance suite that every stage passes: it
// repeats jobs, breaks the store, crashes between the promises, sends poison, and
// looks for goroutines that stay. [Broker] starts an embedded broker in a test's
// own directory and [Eventually] waits for something without sleeping. [Faults]
// breaks a store at the n-th operation.
package pipelinetest
