#!/usr/bin/env bash
# Runs the go command with everything this machine has: the tag hftokenizers
# where libtokenizers.a was built, and the tags in TAGS. The tag cuda brings the
# header that its package is compiled with. LDFLAGS are go's linker's.
#
#   TAGS=cuda ops/build/go.sh build ./...
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
tags=${TAGS:-}
ld=${LDFLAGS:-}
flags=$(go env GOFLAGS) # from the environment or from where go keeps it

lib=$("$root/ops/build/libtokenizers.sh" --find 2>/dev/null)
if [[ -n $lib ]]; then
	tags=${tags:+$tags,}hftokenizers
	# For the last link alone: CGO_LDFLAGS would have every package that depends
	# on cgo, among them net, compiled anew. Of the archive, most is not called.
	gc=
	[[ $(go env GOOS) != linux ]] || gc=' -Wl,--gc-sections'
	ld+=" -extldflags \"-L$lib$gc\""
fi
if [[ ,$tags, == *,cuda,* ]]; then
	export CGO_CFLAGS="-I$root/gpu/device/cuda/include $(go env CGO_CFLAGS)"
	# Its empty libcuda.a has to be found before a driver's, on which the binary
	# would then depend.
	export CGO_LDFLAGS="-L$root/gpu/device/cuda/driver/lib ${CGO_LDFLAGS:-$(go env CGO_LDFLAGS)}"
fi
export GOFLAGS="$flags '-ldflags=$ld' -tags=$tags"
exec go "$@"
