package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/glmflow/glmflow/ops/config"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/pipeline/ledger"
	"github.com/glmflow/glmflow/stages"
)

// An App is one process's part in a flow.
type App struct {
	Config config.Config
	Log    *slog.Logger
	Now    func() time.Time
	Broker *broker.Broker
	Store  *artifact.Store
	Ledger *ledger.Ledger

	// Attached says that another process runs the broker over the directory,
	// and serves the stages.
	Attached bool
}

// Names of what lies in the configuration's directory.
const (
	brokerDir   = "broker"
	artifactDir = "artifacts"
	keyFile     = "signing.key"
)

// BrokerDir is where an embedded broker keeps its streams, lock and credentials.
func BrokerDir(c config.Config) string { return filepath.Join(c.Dir, brokerDir) }

// KeyFile is where the key that signs releases lies.
func KeyFile(c config.Config) string { return filepath.Join(c.Dir, keyFile) }

// KeyFile is where the key that signs releases lies.
func (a *App) KeyFile() string { return KeyFile(a.Config) }

// Open joins the flow that c names.
func Open(ctx context.Context, c config.Config, log *slog.Logger, now func() time.Time) (*App, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	a := &App{Config: c, Log: log, Now: now}
	if err := a.open(ctx); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func (a *App) open(ctx context.Context) (err error) {
	if a.Broker, a.Attached, err = connect(ctx, a.Config, a.Log); err != nil {
		return err
	}
	location := a.Config.Artifacts
	if location == "" {
		location = filepath.Join(a.Config.Dir, artifactDir)
	}
	if a.Store, err = artifact.Open(ctx, location); err != nil {
		return fmt.Errorf("artifacts: %w", err)
	}
	a.Ledger, err = ledger.Open(ctx, a.Broker, stages.Specs(), a.Log)
	return err
}

// connect finds the broker, or starts one.
func connect(ctx context.Context, c config.Config, log *slog.Logger) (b *broker.Broker, attached bool, err error) {
	options := broker.Options{Name: "glmflow", Log: log}
	if c.NATS != "" {
		b, err = broker.Connect(ctx, c.NATS, options)
		return b, false, err
	}
	dir := BrokerDir(c)
	url, err := broker.Find(dir)
	switch {
	case err == nil:
		b, err = broker.Connect(ctx, url, options)
		return b, true, err
	case errors.Is(err, broker.ErrNotRunning):
		b, err = broker.Start(ctx, broker.Config{Dir: dir, Log: log})
		return b, false, err
	}
	return nil, false, err
}

// Holder says which process runs the broker over the directory.
func (a *App) Holder() string { return broker.Holder(BrokerDir(a.Config)) }

// Close leaves the flow.
func (a *App) Close() error {
	var errs []error
	if a.Ledger != nil {
		errs = append(errs, a.Ledger.Close())
	}
	if a.Store != nil {
		errs = append(errs, a.Store.Close())
	}
	if a.Broker != nil {
		errs = append(errs, a.Broker.Close())
	}
	return errors.Join(errs...)
}
