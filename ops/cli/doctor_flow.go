package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/config"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/pipeline/lineage"
)

// Less free space than this deserves a word, or stops everything.
const (
	tightSpace = 10 << 30
	noSpace    = 256 << 20
)

// checkDir looks whether dir, or where it will be made, takes files.
func checkDir(dir string) finding {
	there := dir
	for {
		if info, err := os.Stat(there); err == nil {
			if !info.IsDir() {
				return finding{"directory", broke, there + " is a file", "say another --dir"}
			}
			break
		}
		up := filepath.Dir(there)
		if up == there {
			break
		}
		there = up
	}
	probe, err := os.CreateTemp(there, ".glmflow-doctor-*")
	if err != nil {
		return finding{"directory", broke, err.Error(), "make it writable for you, or say another --dir"}
	}
	err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	if err != nil {
		return finding{"directory", warn, err.Error(), "look at the file system"}
	}
	detail := dir + " is writable"
	if there != dir {
		detail = dir + " can be made"
	}
	free, err := freeSpace(there)
	if err != nil {
		return finding{"directory", warn, detail + "; free space: " + err.Error(), ""}
	}
	detail += ", " + byteSize(free) + " free"
	switch {
	case free < noSpace:
		return finding{"directory", broke, detail, "make room: the broker stores nothing on a full disk"}
	case free < tightSpace:
		return finding{"directory", warn, detail, "make room: checkpoints and artifacts grow"}
	}
	return finding{"directory", fine, detail, ""}
}

func checkBroker(ctx context.Context, c config.Config) finding {
	if c.NATS != "" {
		b, err := broker.Connect(ctx, c.NATS, broker.Options{Name: "glmflow doctor"})
		if err != nil {
			return finding{"broker", broke, err.Error(), "start nats-server 2.14.2 or newer with JetStream there, or mend --nats"}
		}
		defer b.Close()
		return finding{"broker", fine, fmt.Sprintf("nats-server %s at %s", b.Conn().ConnectedServerVersion(), b.Conn().ConnectedUrlRedacted()), ""}
	}
	url, err := broker.Find(app.BrokerDir(c))
	if errors.Is(err, broker.ErrNotRunning) {
		return finding{"broker", fine, "none runs; commands start their own", ""}
	}
	mend := "look whether " + broker.Holder(app.BrokerDir(c)) + " still works, or stop it"
	if err != nil {
		return finding{"broker", broke, err.Error(), mend}
	}
	b, err := broker.Connect(ctx, url, broker.Options{Name: "glmflow doctor"})
	if err != nil {
		return finding{"broker", broke, err.Error(), mend}
	}
	defer b.Close()
	return finding{"broker", fine, fmt.Sprintf("run by %s at %s", broker.Holder(app.BrokerDir(c)), b.Conn().ConnectedUrlRedacted()), ""}
}

func checkArtifacts(ctx context.Context, c config.Config) finding {
	if c.Artifacts == "" {
		if c.NATS != "" {
			return finding{"artifacts", warn, "in this machine's directory, though the broker may be shared", "say --artifacts with a place that all machines reach"}
		}
		return finding{"artifacts", fine, "in the directory", ""}
	}
	store, err := artifact.Open(ctx, c.Artifacts)
	if err != nil {
		return finding{"artifacts", broke, err.Error(), "mend --artifacts"}
	}
	defer store.Close()
	if _, err := store.PutBytes(ctx, []byte("glmflow doctor\n")); err != nil {
		return finding{"artifacts", broke, err.Error(), "make " + c.Artifacts + " writable for you"}
	}
	return finding{"artifacts", fine, c.Artifacts + " is writable", ""}
}

func checkBase(dir string) finding {
	const name = "base model"
	if dir == "" {
		return finding{name, warn, "none is named: stages that compute need one", "say --base DIR or GLMFLOW_MODEL_BASE; glmflow model init makes a small one to try"}
	}
	mend := "name a directory with config.json, safetensors and " + tokenizer.FileName
	info, err := describeModel(dir)
	if err != nil {
		return finding{name, broke, err.Error(), mend}
	}
	switch {
	case info.Config == nil:
		return finding{name, broke, dir + " holds an adapter, not a model", mend}
	case info.Vocabulary == nil:
		return finding{name, broke, dir + " has no " + tokenizer.FileName, mend}
	}
	return finding{name, fine, fmt.Sprintf("%s: %s parameters, %d layers, %s pieces", dir, digits(info.Parameters), info.Config.NumLayers, digits(int64(info.Vocabulary.Pieces))), ""}
}

func checkKey(c config.Config) finding {
	const name = "signing key"
	path := app.KeyFile(c)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return finding{name, fine, "made when the first model is published", ""}
	}
	key, err := lineage.OpenKey(path, rand.Reader)
	if err != nil {
		return finding{name, broke, err.Error(), "chmod 600 " + path}
	}
	return finding{name, fine, "public part " + key.Public(), ""}
}

func checkConsole(c config.Config) finding {
	const name = "console"
	if c.Console.Listen == "off" {
		return finding{name, fine, "off", ""}
	}
	l, err := net.Listen("tcp", c.Console.Listen)
	if err != nil {
		if _, running := broker.Find(app.BrokerDir(c)); running == nil {
			return finding{name, fine, c.Console.Listen + " is taken, likely by the process that runs the broker", ""}
		}
		return finding{name, warn, err.Error(), "say another address with `glmflow up --console`"}
	}
	if err := l.Close(); err != nil {
		return finding{name, warn, err.Error(), ""}
	}
	return finding{name, fine, c.Console.Listen + " is free", ""}
}
