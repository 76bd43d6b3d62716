module github.com/glmflow/glmflow

go 1.26.0

require (
	charm.land/bubbles/v2 v2.2.1 // the editor of chat: several lines, wide characters, input methods
	charm.land/bubbletea/v2 v2.1.1 // what the editor runs in
	charm.land/lipgloss/v2 v2.0.6 // tables that stay aligned with Chinese text in them
	github.com/apache/arrow/go/v17 v17.0.0 // records in memory and in motion (Arrow IPC)
	github.com/caarlos0/env/v11 v11.4.2 // GLMFLOW_* over the same struct as the file
	github.com/cespare/xxhash/v2 v2.3.0 // MinHash signatures; a hash that is equal on every machine
	github.com/charmbracelet/x/ansi v0.11.9 // how wide a text is on a terminal, and where to cut it
	github.com/charmbracelet/x/term v0.2.2 // whether it is a terminal, and how wide
	github.com/daulet/tokenizers v1.22.1 // tag hftokenizers; the last whose crates need no git, docs/adr/0003
	github.com/go-ego/gse v0.80.3 // Chinese by word, for ROUGE that compares with published numbers
	github.com/goccy/go-yaml v1.19.2 // strict YAML whose errors show the source line
	github.com/gofrs/flock v0.13.2 // one process opens a store
	github.com/google/go-cmp v0.7.0 // tests: differences that can be read
	github.com/lmittmann/tint v1.2.1 // log lines for people; files get slog's JSON
	github.com/nats-io/nats-server/v2 v2.15.2 // the embedded broker: schedules and atomic batches
	github.com/nats-io/nats.go v1.55.0 // JetStream's client
	github.com/nats-io/nkeys v0.4.17 // the ed25519 keys that sign a release
	github.com/parquet-go/parquet-go v0.32.0 // rows at rest, from Go structs
	github.com/prometheus/client_golang v1.25.0 // /metrics
	github.com/robfig/cron/v3 v3.0.1 // when a schedule fires next; the server's parser descends from it
	github.com/rogpeppe/go-internal v1.16.0 // tests: the command line as testscript files
	github.com/secure-systems-lab/go-securesystemslib v0.11.1 // DSSE, the envelope around a signed statement
	github.com/spf13/cobra v1.10.2 // verbs, help and shell completion
	github.com/spf13/pflag v1.0.9 // cobra's flags, where functions add their own
	go.uber.org/goleak v1.3.0 // tests: no goroutine left behind
	gocloud.dev v0.47.0 // artifacts behind one interface: a directory, memory, later a bucket
	golang.org/x/net v0.60.0 // tests: pages parsed as a browser would
	golang.org/x/sync v0.24.0 // errgroup
	golang.org/x/sys v0.49.0 // maps weight files into memory
	golang.org/x/text v0.43.0 // GB18030 and UTF-16, normal forms, plurals
	google.golang.org/protobuf v1.36.12 // protowire, to read a SentencePiece model without generated code
	gorgonia.org/cu v0.9.6 // tag cuda; NVIDIA's driver, docs/adr/0002
	pgregory.net/rapid v1.3.0 // tests: properties, with shrinking
)

require (
	github.com/JohnCGriffin/overflow v0.0.0-20211019200055-46fa312c352c // indirect
	github.com/andybalholm/brotli v1.1.1 // indirect
	github.com/antithesishq/antithesis-sdk-go v0.8.0-default-no-op // indirect
	github.com/apache/thrift v0.20.0 // indirect
	github.com/atotto/clipboard v0.1.4 // indirect
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/charmbracelet/colorprofile v0.4.3 // indirect
	github.com/charmbracelet/ultraviolet v0.0.0-20261008173134-6b8d4baf91b4 // indirect
	github.com/charmbracelet/x/termios v0.1.1 // indirect
	github.com/charmbracelet/x/windows v0.2.2 // indirect
	github.com/clipperhouse/displaywidth v0.11.0 // indirect
	github.com/clipperhouse/uax29/v2 v2.7.0 // indirect
	github.com/go-logr/logr v1.4.4 // indirect
	github.com/go-logr/stdr v1.2.2 // indirect
	github.com/goccy/go-json v0.10.3 // indirect
	github.com/golang/snappy v0.0.4 // indirect
	github.com/google/flatbuffers v24.3.25+incompatible // indirect
	github.com/google/go-tpm v0.9.8 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/googleapis/gax-go/v2 v2.24.1 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/klauspost/asmfmt v1.3.2 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/klauspost/cpuid/v2 v2.2.8 // indirect
	github.com/lucasb-eyer/go-colorful v1.4.1 // indirect
	github.com/mattn/go-runewidth v0.0.30 // indirect
	github.com/minio/asm2plan9s v0.0.0-20200509001527-cdd76441f9d8 // indirect
	github.com/minio/c2goasm v0.0.0-20190812172519-36a3d3bbc4f3 // indirect
	github.com/minio/highwayhash v1.0.4 // indirect
	github.com/muesli/cancelreader v0.2.2 // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/nats-io/jwt/v2 v2.8.2 // indirect
	github.com/nats-io/nuid v1.0.1 // indirect
	github.com/parquet-go/bitpack v1.0.0 // indirect
	github.com/parquet-go/jsonlite v1.0.0 // indirect
	github.com/pierrec/lz4/v4 v4.1.21 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/prometheus/client_model v0.6.3 // indirect
	github.com/prometheus/common v0.72.0 // indirect
	github.com/prometheus/procfs v0.22.0 // indirect
	github.com/rivo/uniseg v0.4.7 // indirect
	github.com/twpayne/go-geom v1.6.1 // indirect
	github.com/vcaesar/cedar v0.20.2 // indirect
	github.com/xo/terminfo v1.0.0 // indirect
	github.com/zeebo/xxh3 v1.0.2 // indirect
	go.opentelemetry.io/auto/sdk v1.2.1 // indirect
	go.opentelemetry.io/otel v1.46.0 // indirect
	go.opentelemetry.io/otel/metric v1.46.0 // indirect
	go.opentelemetry.io/otel/sdk v1.46.0 // indirect
	go.opentelemetry.io/otel/sdk/metric v1.46.0 // indirect
	go.opentelemetry.io/otel/trace v1.46.0 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/exp v0.0.0-20240222234643-814bf88cf225 // indirect
	golang.org/x/mod v0.41.0 // indirect
	golang.org/x/telemetry v0.0.0-20260924152758-ed294f943157 // indirect
	golang.org/x/time v0.16.0 // indirect
	golang.org/x/tools v0.51.0 // indirect
	golang.org/x/xerrors v0.0.0-20240903120638-7835f813f4da // indirect
	google.golang.org/api v0.297.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260904194346-d0f1323225a4 // indirect
	google.golang.org/grpc v1.83.2 // indirect
)
