# glmflow. `make run` shows it, `make test` proves it; both install what they need.
# Needs Go 1.26 and g++; cargo 1.78 or newer for Hugging Face's tokenizers, without
# which the pure-Go encoder is used.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO := ops/build/go.sh
# What a build without a C compiler changes: the device and the encoder, and
# their users.
PURE := ./gpu/... ./stages/tokenize/... ./stages/train/...

help: ## list these targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

build: tokenizers ## build bin/glmflow
	$(GO) build -o bin/glmflow ./ops/cmd/glmflow

run: build ## build, then run the whole flow once on generated customer logs
	bin/glmflow demo

cuda: tokenizers ## build bin/glmflow with the NVIDIA backend; it starts without a driver, too
	TAGS=cuda $(GO) build -o bin/glmflow ./ops/cmd/glmflow

test: tokenizers vet ## run every test: race detector, then without a C compiler
	$(GO) test -race -timeout 20m ./...
	@echo "== without tags: the pure-Go encoder"
	go test ./gpu/chatglm/tokenizer/... ./gpu/chatglm/chat/...
	@echo "== with tag cuda: the driver's package, without a driver"
	TAGS=cuda $(GO) test ./gpu/device/cuda/...
	@echo "== CGO_ENABLED=0: the pure-Go encoder and the reference device"
	CGO_ENABLED=0 go test -timeout 20m $(PURE)

vet: ## check formatting, and vet every build
	@unformatted=$$(gofmt -l .); [[ -z $$unformatted ]] || { echo "gofmt these files (make fmt):"; echo "$$unformatted"; exit 1; }
	go vet ./...
	CGO_ENABLED=0 go build ./...
	CGO_ENABLED=0 go vet ./...
	go vet -tags hftokenizers ./gpu/chatglm/tokenizer/...
	TAGS=cuda $(GO) vet ./gpu/ ./gpu/device/...

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

tokenizers:
	@ops/build/libtokenizers.sh >/dev/null

.PHONY: help build run cuda test vet bench bench-peers parity fmt clean tokenizers
