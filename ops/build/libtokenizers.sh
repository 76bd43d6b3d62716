#!/usr/bin/env bash
# Builds libtokenizers.a, the Rust part of github.com/daulet/tokenizers, from the
# module's own source, once: it then lies in the user's cache directory. Prints
# that directory. Where it cannot be built, one line on stderr says why and
# nothing is printed; glmflow then uses its pure-Go encoder.
#
#   libtokenizers.sh          build it if it is missing
#   libtokenizers.sh --find   only look for it
set -euo pipefail
cd "$(dirname "$0")/../.."

module=github.com/daulet/tokenizers
needs=1.78 # the first cargo that reads the module's lock file

without() {
	echo "libtokenizers: $1; going on with the pure-Go encoder" >&2
	exit 0
}

[[ $(go env CGO_ENABLED) == 1 ]] || without "cgo is off or there is no C compiler"
version=$(go list -m -f '{{.Version}}' $module)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/glmflow/libtokenizers-$version-$(go env GOOS)-$(go env GOARCH)
if [[ -f $cache/libtokenizers.a ]]; then
	echo "$cache"
	exit
fi
[[ ${1:-} != --find ]] || exit 0

command -v cargo >/dev/null || without "cargo is not installed (it needs $needs or newer)"
have=$(cargo --version 2>/dev/null | cut -d' ' -f2) || without "cargo does not run"
[[ $(printf '%s\n' "$needs" "$have" | sort -V | head -1) == "$needs" ]] || without "cargo is $have, and $needs or newer is needed"
go mod download $module || without "the module $module cannot be downloaded"

mkdir -p "$cache"
work=$(mktemp -d "$cache/build-XXXXXX")
trap 'rm -rf "$work"' EXIT
cp -r "$(go list -m -f '{{.Dir}}' $module)" "$work/source"
chmod -R u+w "$work/source"
echo "libtokenizers: building $version with cargo $have, about two minutes, once" >&2
CARGO_NET_RETRY=1 cargo build --release --locked --lib \
	--manifest-path "$work/source/Cargo.toml" --target-dir "$work/target" >"$cache/build.log" 2>&1 ||
	without "cargo could not build it, see $cache/build.log"
mv "$work/target/release/libtokenizers.a" "$cache/" # a rename: nobody sees half of it
echo "$cache"
