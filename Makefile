# Two commands set everything up: `make run` boots the lightweight plan, `make test` runs the tests.
GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS = -s -w -X main.version=$(VERSION)
# What `make run` starts is kept apart from the user's own runs.
RUN_STATE ?= $(CURDIR)/tmp/state
SOURCES = $(shell find . -name '*.go' -not -path './tmp/*' 2>/dev/null) go.mod go.sum

.PHONY: build run stop test test-race test-long check bench bench-check clean

build: ## every binary, into bin/
	@mkdir -p bin
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/... ./examples/services/...

# What plans/full sends to its nodes, which may be of another system than this machine.
NODE_OS ?= $(shell $(GO) env GOOS)
NODE_ARCH ?= $(shell $(GO) env GOARCH)
.PHONY: plans/full/bin
plans/full/bin: ## the programs for the nodes of plans/full
	@mkdir -p $@
	CGO_ENABLED=0 GOOS=$(NODE_OS) GOARCH=$(NODE_ARCH) $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@/ ./cmd/epuharness ./examples/services/...

run: build ## boot plans/lightweight and show its status
	@mkdir -p -m 700 $(RUN_STATE)
	bin/launch --state $(RUN_STATE) boot plans/lightweight
	bin/launch --state $(RUN_STATE) status
	@echo
	@echo "It goes on running: 'make stop' ends it, 'bin/launch --state $(RUN_STATE) status' looks at it again."

stop: ## end what make run started
	bin/launch --state $(RUN_STATE) terminate

test: build ## all tests that take seconds or minutes
	$(GO) test -timeout 15m ./...

test-race: build
	$(GO) test -race -timeout 30m ./...

test-long: build ## what takes hours: every crash point, long fuzzing, long chaos
	LAUNCH_LONG=1 $(GO) test -timeout 12h ./...

check: ## the quick gate before a commit
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo 'gofmt these:'; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) test -short -timeout 5m ./plan/... ./state/... ./engine/... ./runners ./cmd/launch/...

bench: build ## the benchmarks of docs/performance.md, as ratios within one run
	$(GO) run ./internal/bench

bench-check: build ## compare with the committed baseline
	$(GO) run ./internal/bench -check internal/bench/baseline.json

clean:
	rm -rf bin tmp
