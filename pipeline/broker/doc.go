// Package broker is the flow's post office: NATS JetStream, embedded or somebody
// else's.
//
// [Start] runs a nats-server inside this process, over a directory that it locks;
// other processes and the plain nats command line reach it over a loopback
// listener whose address and password lie in a file there. [Connect] uses a
// server that runs elsewhere. Both make the streams of the flow and give a
// [Broker] that differs in nothing else.
//
// Three streams hold everything, see docs/subjects.md: work and facts, metrics,
// and schedules. Work and facts share one, because an atomic batch cannot span
// two: a job's outputs, its done record and its follow-up events are stored
// together by [Broker.Commit], or not at all. The done record may only ever be
// the first message of its subject, which is what fences a second worker off.
//
// Events are CloudEvents. [Decode] reads the three ways in which other systems
// write them.
package broker
