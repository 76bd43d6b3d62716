package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/pipeline/window"
	"github.com/glmflow/glmflow/stages/clean"
	"github.com/glmflow/glmflow/stages/evaluate"
	"github.com/glmflow/glmflow/stages/ingest"
	"github.com/glmflow/glmflow/stages/publish"
	"github.com/glmflow/glmflow/stages/tokenize"
	"github.com/glmflow/glmflow/stages/train"
)

// Config is a process's whole configuration.
type Config struct {
	// Dir holds everything the process keeps: broker, artifacts, keys.
	// Default: glmflow in the user's data directory ($XDG_DATA_HOME or
	// ~/.local/share).
	Dir string `yaml:"dir" env:"DIR"`
	// Cache holds what can be made again and is shared by all directories: the
	// demo's base model. Default: glmflow in the user's cache directory
	// ($XDG_CACHE_HOME or ~/.cache).
	Cache string `yaml:"cache" env:"CACHE"`
	// NATS is the URL of a nats-server of 2.14.2 or newer with JetStream; empty
	// embeds one. Default "".
	NATS string `yaml:"nats" env:"NATS"`
	// Artifacts is a directory, such as one that every machine mounts, or its
	// URL (file:///…); empty keeps them in Dir. Default "".
	Artifacts string `yaml:"artifacts" env:"ARTIFACTS"`
	// Stages lists the stages this process serves; empty means all six.
	// Default [].
	Stages []string `yaml:"stages" env:"STAGES"`
	// Redeliver is the silence of a process after which its jobs are given to
	// another one. A broker that was embedded in the process that died gives them
	// back as soon as it is started again. Default 1m.
	Redeliver time.Duration `yaml:"redeliver" env:"REDELIVER"`

	Model   Model   `yaml:"model" envPrefix:"MODEL_"`
	Device  Device  `yaml:"device" envPrefix:"DEVICE_"`
	Console Console `yaml:"console" envPrefix:"CONSOLE_"`
	Log     Log     `yaml:"log" envPrefix:"LOG_"`
	Trigger Trigger `yaml:"trigger" envPrefix:"TRIGGER_"`

	Ingest   ingest.Config   `yaml:"ingest"`
	Clean    clean.Config    `yaml:"clean"`
	Tokenize tokenize.Config `yaml:"tokenize"`
	Window   window.Config   `yaml:"window"`
	Train    train.Config    `yaml:"train"`
	Evaluate evaluate.Config `yaml:"evaluate"`
	Publish  publish.Config  `yaml:"publish"`
}

// Model says which model the flow fine-tunes.
type Model struct {
	// Name is what versions are published under. Default "assistant".
	Name string `yaml:"name" env:"NAME"`
	// Base is a directory with a ChatGLM3: config.json, safetensors,
	// tokenizer.model. Stages that compute need it. Default "".
	Base string `yaml:"base" env:"BASE"`
	// Tokenizer chooses the encoder: "auto", "hf" (daulet/tokenizers) or "go".
	// Default "auto".
	Tokenizer string `yaml:"tokenizer" env:"TOKENIZER"`
}

// Device says what computes.
type Device struct {
	// Backend is "auto", "cpu" or "reference". Default "auto".
	Backend string `yaml:"backend" env:"BACKEND"`
	// Workers is the number of threads; 0 is one a core. Default 0.
	Workers int `yaml:"workers" env:"WORKERS"`
	// Precision of matrix products: "bf16" or "fp32". Default "bf16".
	Precision string `yaml:"precision" env:"PRECISION"`
	// ISA is the instruction set of the host's kernels: "avx2", "avx512", …. Machines
	// of different processors get the same bits where all are told the same. Default
	// "", the best that the processor has.
	ISA string `yaml:"isa" env:"ISA"`
}

// Options are those that the device is opened with.
func (d Device) Options() device.Options {
	return device.Options{Workers: d.Workers, Precision: d.Precision, ISA: d.ISA}
}

// Console says where the console and the metrics are served.
type Console struct {
	// Listen is host:port; "off" serves none. Anything but a loopback address
	// is refused, since the console asks nobody who they are.
	// Default "127.0.0.1:8480".
	Listen string `yaml:"listen" env:"LISTEN"`
}

// Log says what is logged.
type Log struct {
	// Level is "debug", "info", "warn" or "error". Default "info".
	Level string `yaml:"level" env:"LEVEL"`
	// Format is "auto" (for people on a terminal, JSON elsewhere), "text" or
	// "json". Default "auto".
	Format string `yaml:"format" env:"FORMAT"`
}

// Trigger says when a retraining starts by itself. Schedules are set with
// `glmflow schedule`, not here.
type Trigger struct {
	// FreshDialogues starts a retraining as soon as so many conversations have
	// arrived since the last published window; 0 never does. Default 0.
	FreshDialogues int64 `yaml:"fresh_dialogues" env:"FRESH_DIALOGUES"`
}

// StageNames are the six stages in the order of the flow.
func StageNames() []string {
	return []string{"ingest", "clean", "tokenize", "train", "evaluate", "publish"}
}

// Default is the configuration of a process that was told nothing.
func Default() Config {
	return Config{
		Redeliver: time.Minute,

		Model:    Model{Name: "assistant", Tokenizer: "auto"},
		Device:   Device{Backend: "auto", Precision: "bf16"},
		Console:  Console{Listen: "127.0.0.1:8480"},
		Log:      Log{Level: "info", Format: "auto"},
		Ingest:   ingest.DefaultConfig(),
		Clean:    clean.DefaultConfig(),
		Tokenize: tokenize.DefaultConfig(),
		Window:   window.DefaultConfig(),
		Train:    train.DefaultConfig(),
		Evaluate: evaluate.DefaultConfig(),
		Publish:  publish.DefaultConfig(),
	}
}

// Validate reports every value that makes no sense, by its place in the file.
func (c Config) Validate() error {
	var errs []error
	bad := func(place string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", place, err))
		}
	}
	oneOf := func(place, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			bad(place, fmt.Errorf("%q is none of %s", value, strings.Join(allowed, ", ")))
		}
	}
	for _, s := range c.Stages {
		oneOf("stages", s, StageNames()...)
	}
	if c.NATS != "" {
		if u, err := url.Parse(c.NATS); err != nil || u.Host == "" {
			bad("nats", fmt.Errorf("%q is no URL such as nats://127.0.0.1:4222", c.NATS))
		}
	}
	if c.Redeliver < time.Second {
		bad("redeliver", fmt.Errorf("%s: want 1s or more, longer than a reconnect to the broker takes", c.Redeliver))
	}
	if c.Model.Name == "" || strings.ContainsAny(c.Model.Name, ".*>@: \t/\\") {
		bad("model.name", fmt.Errorf("%q: a name has no dots, spaces, slashes or any of * > @ :", c.Model.Name))
	}
	oneOf("model.tokenizer", c.Model.Tokenizer, "auto", "hf", "go")
	oneOf("device.backend", c.Device.Backend, "auto", "cpu", "reference")
	oneOf("device.precision", c.Device.Precision, "bf16", "fp32")
	if c.Device.Workers < 0 {
		bad("device.workers", fmt.Errorf("%d: want 0 (one a core) or more", c.Device.Workers))
	}
	bad("console.listen", loopback(c.Console.Listen))
	oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	oneOf("log.format", c.Log.Format, "auto", "text", "json")
	if c.Trigger.FreshDialogues < 0 {
		bad("trigger.fresh_dialogues", fmt.Errorf("%d: want 0 (never) or more", c.Trigger.FreshDialogues))
	}
	bad("ingest", c.Ingest.Validate())
	bad("clean", c.Clean.Validate())
	bad("tokenize", c.Tokenize.Validate())
	bad("window", c.Window.Validate())
	bad("train", c.Train.Validate())
	bad("evaluate", c.Evaluate.Validate())
	bad("publish", c.Publish.Validate())
	return errors.Join(errs...)
}

// loopback refuses addresses that others could reach.
func loopback(listen string) error {
	if listen == "off" {
		return nil
	}
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("%q is no host:port such as 127.0.0.1:8480, and not \"off\"", listen)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%q can be reached by others: listen on 127.0.0.1 and let a proxy with a login stand before it", listen)
	}
	return nil
}
