#!/usr/bin/env bash
# Runs every test: of all builds of the program that this machine can make, in
# five parts. Without a C compiler two are left: vetting, and plain Go.
set -euo pipefail
cd "$(dirname "$0")/../.."

parts=5 part=0 began=0
cgo=$(go env CGO_ENABLED)
[[ $cgo == 1 ]] || parts=2

# begin TITLE TIME says which part begins, and what the one before took.
begin() {
	end
	part=$((part + 1)) began=$SECONDS
	echo "== $part of $parts: $1, $2"
}
end() { ((part == 0)) || echo "== $part of $parts took $(((SECONDS - began) / 60))m$(((SECONDS - began) % 60))s"; }

begin "format and vet" "about 10 min the first time on two cores, then seconds"
ops/build/vet.sh

if [[ $cgo == 1 ]]; then
	ops/build/libtokenizers.sh >/dev/null
	begin "every test with the race detector" "about 15 min the first time on two cores, then 10"
	GOFLAGS="$(go env GOFLAGS) -race" ops/build/compile.sh "with race detector" ./...
	ops/build/go.sh test -race -timeout 20m ./...
	begin "without tags: the pure-Go encoder" "a minute"
	go test ./gpu/chatglm/tokenizer/... ./gpu/chatglm/chat/...
	begin "with tag cuda: the driver's package, without a driver" "a minute"
	TAGS=cuda ops/build/go.sh test ./gpu/device/cuda/...
	begin "without C: the pure-Go encoder and the reference device" "about 5 min"
	# What a build without a C compiler changes: the device and the encoder, and
	# their users.
	CGO_ENABLED=0 go test -timeout 20m ./gpu/... ./stages/tokenize/... ./stages/train/...
else
	begin "every test, without the race detector, which needs C" "about 15 min on two cores"
	go test -timeout 20m ./...
fi
end
echo "== all parts passed"
