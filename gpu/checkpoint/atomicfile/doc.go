// Package atomicfile writes files that appear under their name whole or not at
// all: whoever reads a checkpoint never meets half of one, though the writer be
// killed at any moment.
package atomicfile
