# glmflow. `make run` shows it, `make test` proves it; both fetch what they need and
# say what they build. Needs Go 1.26; g++ for the C kernels, without which the
# device is plain Go; cargo 1.78 or newer for Hugging Face's tokenizers, without
# which the encoder is.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO := ops/build/go.sh
# Where the sources lie stays out of the binary. One setting for every target, so
# that they share what is compiled.
export GOFLAGS := $(strip $(shell go env GOFLAGS 2>/dev/null) -trimpath)
# Without the symbols and lines that debuggers read; stack traces have theirs.
STRIP := -s -w

help: ## list these targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

build: machine ## build bin/glmflow
	@ops/build/libtokenizers.sh >/dev/null
	@LDFLAGS="$(STRIP)" ops/build/compile.sh glmflow ./ops/cmd/glmflow -o bin/glmflow

run: build ## build, then run the whole flow once on generated customer logs
	bin/glmflow demo

cuda: machine ## build bin/glmflow with the NVIDIA backend; it starts without a driver, too
	@ops/build/libtokenizers.sh >/dev/null
	@TAGS=cuda LDFLAGS="$(STRIP)" ops/build/compile.sh glmflow ./ops/cmd/glmflow -o bin/glmflow

test: machine ## run every test: race detector, then without a C compiler
	@ops/build/test.sh

vet: ## check formatting, and vet every build
	@ops/build/vet.sh

bench: build ## measure the machine's limits, training, answering, then each kernel
	bin/glmflow bench peak
	for precision in fp32 bf16; do \
		bin/glmflow bench train --length 128 --precision $$precision; \
		bin/glmflow bench train --length 256 --precision $$precision; \
		bin/glmflow bench generate --shape 1b --precision $$precision; \
	done
	$(GO) test -run '^$$' -bench . -benchmem ./...

bench-peers: build ## measure beside PyTorch, ggml, llama.cpp (and llm.c: LLMC=DIR) in a scratch directory
	ops/peers/run.sh bin/glmflow $(PEERS)

parity: build ## compare with PyTorch and transformers, installed in a scratch environment (minutes, 6 GB)
	ops/parity/run.sh bin/glmflow

fmt: ## format the code
	gofmt -w .

clean: ## remove what was built; caches of other builds stay
	rm -rf bin
	go clean -testcache

machine:
	@ops/build/machine.sh

.PHONY: help build run cuda test vet bench bench-peers parity fmt clean machine
