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
	"github.com/glmflow/glmflow/pipeline"
)

// How long open requests may take to end.
const farewell = 5 * time.Second

// A site is what a browser and a metrics collector see of a process. It may be
// nil: there is none then.
type site struct {
	listener net.Listener
	handler  http.Handler
	view     *app.View
}

// newSite takes the console's address, so that a taken one is found early.
func newSite(a *app.App) (*site, error) {
	address := a.Config.Console.Listen
	if address == "off" {
		return nil, nil
	}
	view := a.View()
	pages, err := console.New(console.Config{Source: view, Version: version(), Log: a.Log, Now: a.Now})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", pages)
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("console: %w: say another --console host:port, or --console off", err)
	}
	return &site{listener, mux, view}, nil
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

// observer hears of the jobs, for the metrics.
func (s *site) observer() pipeline.Observer { return pipeline.Observer{} }
