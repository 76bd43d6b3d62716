#!/usr/bin/env bash
# Runs `go build` by go.sh and shows how far it is. Where little has to be
# compiled it is done before there is anything to say.
#
#   ops/build/compile.sh LABEL PACKAGES [go build's other flags]
set -euo pipefail
here=$(dirname "$0")
label=$1 packages=$2
shift 2

stale=$("$here/go.sh" list -deps -f '{{if .Stale}}{{.ImportPath}}{{end}}' "$packages" | grep -c . || true)
cores=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)
seconds=$((stale * 6 / 10 / cores)) # a package takes 0.6 seconds of a core, in the mean over all
if ((seconds > 20)); then
	echo "$label: compiling $stale packages, about $(((seconds + 59) / 60)) min on $cores cores, once" >&2
fi
"$here/go.sh" build -v "$@" "$packages" 2>&1 | "$here/progress.sh" "$label" "$stale" "$seconds"
