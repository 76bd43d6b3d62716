package broker

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"

	"github.com/nats-io/nats.go"
)

// Options configure a connection to a broker that runs elsewhere.
type Options struct {
	Credentials string       // path of a NATS credentials file, "" for none; a URL may name user and password instead
	Replicas    int          // copies of each stream in a cluster; 0 means 1
	Name        string       // of the connection, for the broker's own listings
	Log         *slog.Logger // nil discards
}

// Connect uses the broker at url, such as nats://host:4222, and makes the streams
// of the flow there. It needs nats-server 2.14.2 or newer with JetStream.
func Connect(ctx context.Context, url string, o Options) (*Broker, error) {
	opts := []nats.Option{nats.Name(o.Name)}
	if o.Credentials != "" {
		opts = append(opts, nats.UserCredentials(o.Credentials))
	}
	b, err := dial(ctx, url, o.Log, opts...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", redacted(url), err)
	}
	if err := b.provision(ctx, o.Replicas); err != nil {
		b.conn.Close()
		return nil, err
	}
	return b, nil
}

// Find returns the URL, with credentials, of the broker that another process
// runs over dir, or [ErrNotRunning].
func Find(dir string) (string, error) {
	if err := running(dir); err != nil {
		return "", err
	}
	e, err := readEndpoint(dir)
	if err != nil {
		return "", fmt.Errorf("find the broker of %s: %w", Holder(dir), err)
	}
	u, err := url.Parse(e.URL)
	if err != nil {
		return "", fmt.Errorf("%s: %w", endpointFile(dir), err)
	}
	u.User = url.UserPassword(e.User, e.Password)
	return u.String(), nil
}

func redacted(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "broker"
	}
	return u.Redacted()
}
