// Package atomicfile writes files that appear under their name whole or not at
// all, and stay there though the power fails: whoever reads a checkpoint never
// meets half of one, though the writer be killed at any moment. What a killed
// writer leaves behind, the next writer of the same file removes.
package atomicfile
