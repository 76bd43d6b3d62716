package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/schemas"
)

// outside runs a nats-server of somebody else's, configured by text.
func outside(t *testing.T, text string) (url string) {
	t.Helper()
	opts := &server.Options{}
	config := fmt.Sprintf("listen: 127.0.0.1:-1\njetstream { store_dir: %q }\n%s", t.TempDir(), text)
	if err := opts.ProcessConfigString(config); err != nil {
		t.Fatal(err)
	}
	opts.NoSigs, opts.NoLog = true, true
	srv, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(time.Minute) {
		t.Fatal("the server did not come up")
	}
	return srv.ClientURL()
}

func connect(t *testing.T, url string) *broker.Broker {
	t.Helper()
	b, err := broker.Connect(t.Context(), url, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// TestOutsideServer: an external broker is provisioned and does what an embedded
// one does; a second connection finds everything in place.
func TestOutsideServer(t *testing.T) {
	url := outside(t, "")
	first, second := connect(t, url), connect(t, url)
	if _, err := first.Commit(t.Context(), job(t, "j1", 3)); err != nil {
		t.Fatal(err)
	}
	if done, ok, err := second.Outcome(t.Context(), "clean", "j1"); err != nil || !ok || done.Event != "j1" {
		t.Errorf("outcome %+v, %v, %v", done, ok, err)
	}
}

// TestDenialIsExplained: a call that the server denies looks like a timeout, so
// the error must say what it was.
func TestDenialIsExplained(t *testing.T) {
	url := outside(t, `
		authorization { users = [
			{ user: reader, password: r, permissions { publish { allow: ["$JS.API.>", "_INBOX.>"] }, subscribe: ">" } }
		] }`)
	b := connect(t, strings.Replace(url, "nats://", "nats://reader:r@", 1))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := b.Publish(ctx, event(t, schemas.TrainRequest, "x"))
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "the broker denied it") {
		t.Errorf("%v; want an error that names the denial", err)
	}
}

func TestServerWithoutJetStream(t *testing.T) {
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(time.Minute) {
		t.Fatal("the server did not come up")
	}
	if _, err := broker.Connect(t.Context(), srv.ClientURL(), broker.Options{}); err == nil || !strings.Contains(err.Error(), "JetStream") {
		t.Errorf("%v; want an error that names JetStream", err)
	}
}
