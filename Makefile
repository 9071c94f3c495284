# What there is to do with tenu. `make` alone lists it.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
PACKAGES ?= ./...
FUZZTIME ?= 5s
SOAK     ?= 20
ARGS     ?=

TOOLS := tools/go.mod tools/go.sum

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/tenu.
	CGO_ENABLED=0 go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/tenu ./cmd/tenu

.PHONY: demo
demo: build ## Sell airtime to partners on this machine, and keep running.
	bin/tenu demo $(ARGS)

.PHONY: test
test: bin/gotestsum ## Install what the tests need, then run them all.
	test/setup.sh bin/gotestsum --format pkgname --format-hide-empty-pkg -- -timeout 25m $(ARGS) $(PACKAGES)
	$(if $(filter ./...,$(PACKAGES)),go test -C bench/peers ./...)
	$(if $(filter ./...,$(PACKAGES)),FUZZTIME=$(FUZZTIME) test/fuzz.sh)

.PHONY: sim
sim: build ## Simulate a million purchases under every fault.
	bin/tenu sim --purchases 1000000 --coverage $(ARGS)

.PHONY: race
race: bin/gotestsum ## The same with the race detector (needs a C compiler).
	test/setup.sh bin/gotestsum --format pkgname --format-hide-empty-pkg -- -race -timeout 40m $(ARGS) $(PACKAGES)

.PHONY: lint
lint: bin/golangci-lint ## Check the code against the house rules.
	bin/golangci-lint run $(PACKAGES)
	cd bench/peers && ../../bin/golangci-lint run ./...

.PHONY: fmt
fmt: bin/golangci-lint ## Format the code.
	bin/golangci-lint fmt

.PHONY: generate
generate: ## Write again what is generated from the code.
	go test ./internal/purchase -run '^TestStatesPage$$' -update
	go test ./internal/sale -run '^TestErrorCodesPage$$' -update
	go test ./internal/sim -run '^TestPlantedPage$$' -update
	go test ./internal/regulator -run '^TestFiguresPage$$' -update
	go test ./internal/voice/sound -run '^TestShipped$$' -update # needs espeak-ng and sox where words have changed

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (5s).
	FUZZTIME=$(FUZZTIME) test/fuzz.sh $(ARGS)

.PHONY: bench
bench: build ## Measure everything beside its yardstick, on both databases (ARGS="--quick" for a first look).
	bin/tenu bench $(ARGS)

.PHONY: peers
peers: ## Measure the same purchase written on River, on DBOS Transact and in plain SQL.
	cd bench/peers && go run -ldflags '-X main.revision=$(VERSION)' . $(ARGS)

.PHONY: soak
soak: build bin/gotestsum ## The long versions of the tests: SOAK (20) times as much, 20 million simulated purchases.
	bin/tenu sim --purchases 20000000 --seed 1000 --coverage
	TENU_SOAK=$(SOAK) test/setup.sh bin/gotestsum --format standard-verbose -- -timeout 12h -count 1 $(ARGS) ./internal/e2e ./internal/sim ./internal/store ./internal/reconcile/...
	FUZZTIME=10m test/fuzz.sh

.PHONY: check
check: lint race ## What a change must pass before it is sent.
	go mod tidy -diff
	go mod verify

# The tools are built at the versions that tools/go.mod pins.
bin/golangci-lint: $(TOOLS)
	go build -modfile=tools/go.mod -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

bin/gotestsum: $(TOOLS)
	go build -modfile=tools/go.mod -o $@ gotest.tools/gotestsum
