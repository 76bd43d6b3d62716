package broker

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"
	_ "time/tzdata" // schedules name time zones, and a bare machine has none

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Config configures an embedded broker.
type Config struct {
	Dir       string       // holds the streams, the lock and the credentials; created if absent
	Listen    string       // host:port for other processes; "" is loopback, on the port of last time if it is free
	MaxStore  int64        // bytes that streams may take on disk; 0 means 16 GiB
	MaxMemory int64        // bytes that streams may take in memory; 0 means 64 MiB
	Log       *slog.Logger // nil discards
}

// Start runs a broker in this process over cfg.Dir. A directory is used by one
// process at a time; a second one gets an error that names the first.
func Start(ctx context.Context, cfg Config) (*Broker, error) {
	b, err := start(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("start broker in %s: %w", cfg.Dir, err)
	}
	return b, nil
}

func start(ctx context.Context, cfg Config) (_ *Broker, err error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Dir == "" {
		return nil, errors.New("no directory is named")
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	unlock, err := lock(cfg.Dir)
	if err != nil {
		return nil, err
	}
	stop := unlock
	defer func() {
		if err != nil {
			err = errors.Join(err, stop())
		}
	}()
	srv, e, err := serve(cfg)
	if err != nil {
		return nil, err
	}
	stop = func() error {
		srv.Shutdown()
		srv.WaitForShutdown()
		return unlock()
	}
	b, err := dial(ctx, "", cfg.Log, nats.InProcessServer(srv), nats.UserInfo(e.User, e.Password))
	if err != nil {
		return nil, err
	}
	if err := b.open(ctx, e, cfg.Dir); err != nil {
		b.conn.Close()
		return nil, err
	}
	b.stop = stop
	return b, nil
}

// open makes the streams ready and tells others where the broker is.
func (b *Broker) open(ctx context.Context, e endpoint, dir string) error {
	if err := b.provision(ctx, 1); err != nil {
		return err
	}
	if err := b.redeliver(ctx); err != nil {
		return err
	}
	return e.write(dir)
}

// serve starts the server.
func serve(cfg Config) (*server.Server, endpoint, error) {
	e, err := readEndpoint(cfg.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		cfg.Log.Warn("made new credentials", "file", endpointFile(cfg.Dir), "error", err)
	}
	if e.User == "" || e.Password == "" {
		e.User, e.Password = "glmflow", rand.Text()
	}
	host, port, err := listenOn(cfg.Listen, e.URL)
	if err != nil {
		return nil, e, err
	}
	srv, err := server.NewServer(&server.Options{
		ServerName: "glmflow",
		Host:       host, Port: port,
		Username: e.User, Password: e.Password,
		JetStream:          true,
		StoreDir:           filepath.Join(cfg.Dir, "jetstream"),
		JetStreamMaxStore:  or(cfg.MaxStore, 16<<30),
		JetStreamMaxMemory: or(cfg.MaxMemory, 64<<20), // unset, the server would claim most of the machine's
		SyncAlways:         true,                      // an acknowledged event is on the disk
		NoSigs:             true,
		NoSystemAccount:    false,
	})
	if err != nil {
		return nil, e, err
	}
	trouble := &serverLog{log: cfg.Log}
	srv.SetLoggerV2(trouble, false, false, false)
	srv.Start()
	if !srv.ReadyForConnections(timeout) {
		srv.Shutdown()
		srv.WaitForShutdown()
		return nil, e, fmt.Errorf("the server did not come up: %s", trouble.last())
	}
	e.URL = "nats://" + srv.Addr().String()
	return srv, e, nil
}

func or(v, otherwise int64) int64 {
	if v == 0 {
		return otherwise
	}
	return v
}

// listenOn returns where to listen. Without a wish it is the port of last time,
// so that workers which are still running find the broker again.
func listenOn(listen, last string) (host string, port int, err error) {
	if listen != "" {
		host, text, err := net.SplitHostPort(listen)
		if err != nil {
			return "", 0, fmt.Errorf("listen address: %w", err)
		}
		if port, err = strconv.Atoi(text); err != nil || port < 0 || port > 65535 {
			return "", 0, fmt.Errorf("listen address %s: want a port from 0 to 65535", listen)
		}
		if port == 0 {
			port = server.RANDOM_PORT
		}
		return host, port, nil
	}
	const loopback = "127.0.0.1"
	u, err := url.Parse(last)
	if err != nil || u.Hostname() != loopback {
		return loopback, server.RANDOM_PORT, nil
	}
	probe, err := net.Listen("tcp", u.Host)
	if err != nil {
		return loopback, server.RANDOM_PORT, nil // somebody else has it now
	}
	port = probe.Addr().(*net.TCPAddr).Port
	return loopback, port, probe.Close()
}

// An endpoint is how other processes reach an embedded broker: broker.json.
type endpoint struct {
	URL      string    `json:"url"`
	User     string    `json:"user"`
	Password string    `json:"password"`
	PID      int       `json:"pid"`
	Started  time.Time `json:"started"`
}

func endpointFile(dir string) string { return filepath.Join(dir, "broker.json") }

func readEndpoint(dir string) (e endpoint, err error) {
	text, err := os.ReadFile(endpointFile(dir))
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return endpoint{}, fmt.Errorf("%s: %w", endpointFile(dir), err)
	}
	return e, nil
}

// write stores e for this user's eyes alone.
func (e endpoint) write(dir string) error {
	e.PID, e.Started = os.Getpid(), time.Now().UTC()
	text, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, "broker-*.json") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // of no effect once it was renamed
	_, err = tmp.Write(append(text, '\n'))
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), endpointFile(dir))
}
