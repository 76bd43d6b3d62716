#!/usr/bin/env bash
# Says what this machine lacks and what that changes in the build. Fails where
# nothing can be built.
set -euo pipefail
command -v go >/dev/null || {
	echo "glmflow is built by Go 1.26 or newer, which is not installed: https://go.dev/dl/" >&2
	exit 1
}
if [[ $(go env CGO_ENABLED) != 1 ]]; then
	cc=$(go env CC)
	why="there is no C compiler ($cc)"
	! command -v "${cc%% *}" >/dev/null || why="CGO_ENABLED is 0"
	echo "Note: $why. The device becomes plain Go, ten times slower and more," >&2
	echo "      and the encoder plain Go, too. For the C kernels: install gcc and g++, then make again." >&2
fi
