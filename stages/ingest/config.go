package ingest

import "fmt"

// Config says how much ingest takes at once.
type Config struct {
	// ShardRows is the number of rows of one output dataset, the unit in which
	// the following stages work. The default is 2000.
	ShardRows int `yaml:"shard_rows"`

	// RecordBytes bounds one record: a line, an element of a JSON array, a row.
	// What is longer is skipped and rejected. The default is 16777216 (16 MiB).
	RecordBytes int `yaml:"record_bytes"`

	// Depth bounds the nesting of JSON. The default is 64.
	Depth int `yaml:"depth"`

	// TableBytes bounds the text of one ticket table, which is kept in memory
	// until its sessions are complete. Rows beyond it are rejected. The default
	// is 536870912 (512 MiB).
	TableBytes int64 `yaml:"table_bytes"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{ShardRows: 2000, RecordBytes: 16 << 20, Depth: 64, TableBytes: 512 << 20}
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	for _, s := range []struct {
		name  string
		value int64
		least int64
	}{
		{"shard_rows", int64(c.ShardRows), 1},
		{"record_bytes", int64(c.RecordBytes), 1024},
		{"depth", int64(c.Depth), 4},
		{"table_bytes", c.TableBytes, 1024},
	} {
		if s.value < s.least {
			return fmt.Errorf("ingest.%s is %d, want at least %d", s.name, s.value, s.least)
		}
	}
	return nil
}
