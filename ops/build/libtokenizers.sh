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
	echo "tokenizers: $1; the encoder is the plain-Go one, which gives the same ids" >&2
	exit 0
}

[[ $(go env CGO_ENABLED) == 1 ]] || without "cgo is off"
cxx=$(go env CXX)
command -v "${cxx%% *}" >/dev/null || without "there is no C++ compiler ($cxx)"
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
manifest=(--locked --manifest-path "$work/source/Cargo.toml")
failed="cargo could not build it, see $cache/build.log"
echo "tokenizers: building Hugging Face's $version, once; about 2 min on 2 cores" >&2
export CARGO_NET_RETRY=1
cargo fetch "${manifest[@]}" >"$cache/build.log" 2>&1 || without "$failed"
crates=$(cargo tree "${manifest[@]}" --offline --edges normal,build --prefix none --format '{p}' | awk '{print $1, $2}' | sort -u | wc -l)
cargo build --release --lib "${manifest[@]}" --target-dir "$work/target" 2>&1 | tee -a "$cache/build.log" |
	sed -un 's/^ *Compiling \([^ ]*\).*/\1/p' | ops/build/progress.sh "tokenizers" "$crates" 90 || without "$failed"
mv "$work/target/release/libtokenizers.a" "$cache/" # a rename: nobody sees half of it
echo "$cache"
