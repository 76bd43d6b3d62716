package devicetest

import (
	"bytes"
	"runtime"
	"sync"
)

// A thread runs functions one by one, all on one thread of the system, as
// drivers want it.
type thread struct {
	calls chan func()
	done  chan struct{}
	once  sync.Once

	mu sync.Mutex
	id string // of the goroutine that the thread belongs to
}

func newThread() *thread {
	t := &thread{calls: make(chan func()), done: make(chan struct{})}
	ready := make(chan struct{})
	go t.loop(ready)
	<-ready
	return t
}

func (t *thread) loop(ready chan<- struct{}) {
	runtime.LockOSThread()
	t.mu.Lock()
	t.id = goroutine()
	t.mu.Unlock()
	close(ready)
	for {
		select {
		case f := <-t.calls:
			f()
		case <-t.done:
			return
		}
	}
}

// here reports whether the caller is on the thread.
func (t *thread) here() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return goroutine() == t.id
}

// do runs f on the thread and returns when it has. A panic in it is one in the
// caller; so is its end, as t.Fatal brings it about.
func (t *thread) do(f func()) {
	if t.here() {
		f()
		return
	}
	type end struct {
		panicked any
		returned bool
	}
	ended := make(chan end)
	call := func() {
		var e end
		defer func() {
			e.panicked = recover()
			if !e.returned && e.panicked == nil { // this goroutine ends: another takes over
				ready := make(chan struct{})
				go t.loop(ready)
				<-ready
			}
			ended <- e
		}()
		f()
		e.returned = true
	}
	select {
	case t.calls <- call:
	case <-t.done:
		panic("devicetest: the device is closed")
	}
	switch e := <-ended; {
	case e.panicked != nil:
		panic(e.panicked)
	case !e.returned:
		runtime.Goexit()
	}
}

// stop ends the thread, which runs nothing any more.
func (t *thread) stop() { t.once.Do(func() { close(t.done) }) }

// goroutine is the number of the one that calls. Go has no name for it but in the
// traces of its stack.
func goroutine() string {
	var b [64]byte
	fields := bytes.Fields(b[:runtime.Stack(b[:], false)])
	return string(fields[1]) // goroutine N [running]:
}
