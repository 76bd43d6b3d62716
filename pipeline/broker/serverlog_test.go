package broker_test

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/glmflow/glmflow/pipeline/broker"
)

// TestQuietStart: a broker that starts well has nothing to warn of.
func TestQuietStart(t *testing.T) {
	var said bytes.Buffer
	b, err := broker.Start(t.Context(), broker.Config{
		Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if said.Len() > 0 {
		t.Errorf("it says:\n%s", &said)
	}
}
