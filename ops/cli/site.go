package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/console"
	"github.com/glmflow/glmflow/ops/telemetry"
)

// How long open requests may take to end.
const farewell = 5 * time.Second

// A site is what a browser and a metrics collector see of a process.
type site struct {
	listener net.Listener
	handler  http.Handler
	view     *app.View
	metrics  *telemetry.Metrics
}

// newSite takes the console's address, so that a taken one is found early.
func newSite(a *app.App) (*site, error) {
	view := a.View()
	pages, err := console.New(console.Config{Source: view, Version: version(), Log: a.Log, Now: a.Now})
	if err != nil {
		return nil, err
	}
	metrics, err := telemetry.NewMetrics(telemetry.Config{Version: version(), Log: a.Log, Queues: func(ctx context.Context) ([]telemetry.Queue, error) {
		return queues(ctx, view)
	}})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", pages)
	probes := telemetry.Handler(metrics, func(context.Context) error { return ready(a) })
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		mux.Handle(path, probes)
	}
	listener, err := net.Listen("tcp", a.Config.Console.Listen)
	if err != nil {
		return nil, fmt.Errorf("console: %w: say another --console host:port, or --console off", err)
	}
	return &site{listener, mux, view, metrics}, nil
}

// serve answers until ctx is cancelled.
func (s *site) serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	server := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: farewell,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	group.Go(func() error { return s.view.Follow(ctx) })
	group.Go(func() error {
		if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("console: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		goodbye, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		if err := server.Shutdown(goodbye); err != nil {
			return server.Close()
		}
		return nil
	})
	return group.Wait()
}

// queues looks at the work before every stage.
func queues(ctx context.Context, view *app.View) ([]telemetry.Queue, error) {
	all, err := view.Queues(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]telemetry.Queue, len(all))
	for i, q := range all {
		out[i] = telemetry.Queue{Stage: q.Name, Waiting: q.Waiting, Working: q.Working, Retried: q.Retried, Parked: q.Parked}
	}
	return out, nil
}

// ready reports what keeps the process from working.
func ready(a *app.App) error {
	if conn := a.Broker.Conn(); !conn.IsConnected() {
		return fmt.Errorf("the broker is out of reach: %s", conn.Status())
	}
	return nil
}
