# Postroad. "make help" lists what can be made; only test-deps and the first download of modules use the network.

GO       = go
BUILD    = CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false
TOOL     = $(GO) tool -modfile=tools/go.mod
BUDGET   = 300
TIMEOUT  = 10m

.PHONY: help build run explain test check fmt vet lint house generated race fuzz-share fuzz bench conformance test-deps clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | while IFS='|' read -r target text; do \
		printf '%-20s %s\n' "$$target" "$$text"; done

build: ## bin/postroad, static
	@mkdir -p bin
	$(BUILD) -o bin/postroad ./cmd/postroad

run: build ## analyze a week of a mail server: the incident and the ticket
	@echo "bin/postroad analyze --ticket --tz Europe/Berlin examples/week"; \
	bin/postroad analyze --ticket --tz Europe/Berlin examples/week || [ $$? = 1 ] # 1: trouble was found

explain: build ## explain every example
	@set --; for f in examples/*.eml examples/*.log examples/*.txt examples/*/*.eml examples/*/*.log examples/*/*.txt; do \
		if [ -f "$$f" ]; then set -- "$$@" "$$f"; fi; done; \
	if [ $$# = 0 ]; then echo "no examples here; try: bin/postroad explain FILE" >&2; exit 1; fi; \
	echo "bin/postroad explain ($$# files of examples/)"; bin/postroad explain "$$@"

test: test-deps ## all tests; what cannot run here is skipped aloud
	@POSTROAD_TEST_DEPS="$$(etc/test-deps --where)" etc/gotest -timeout $(TIMEOUT) ./...

test-deps: ## Debian's mail servers and resolver for the tests, side by side (as root)
	@etc/test-deps || [ $$? = 3 ]

check: fmt vet lint house generated race fuzz-share ## everything that a change must pass

fmt: ## gofmt has nothing to say
	@out=$$(gofmt -l $$(find . -name '*.go' -not -path './.git/*' -not -path '*/testdata/*')); \
	if [ -n "$$out" ]; then echo "not formatted, run gofmt -w on:"; echo "$$out"; exit 1; fi

vet: ## go vet
	$(GO) vet ./...

lint: ## golangci-lint, pinned in tools/go.mod (the first run compiles it: minutes)
	$(TOOL) golangci-lint run ./...

house: ## import order, sizes, texts, documents: the rules beside doc.go
	@etc/gotest .

generated: ## generated files are in step with their sources
	@etc/in-step

race: ## all tests and seed corpora under the race detector
	@if command -v $${CC:-cc} >/dev/null; then CGO_ENABLED=1 etc/gotest -race -timeout $(TIMEOUT) ./...; \
	else echo "race: skipped: no C compiler; all tests without it"; etc/gotest -timeout $(TIMEOUT) ./...; fi

fuzz-share: ## today's share of the fuzz targets, BUDGET=300 seconds in all
	@etc/fuzz -b $(BUDGET)

fuzz: ## every fuzz target, a minute each
	@etc/fuzz -a -b $$(( $$(etc/fuzz -l | wc -l) * 60 ))

bench: ## all benchmarks; compare two runs with: go tool -modfile=tools/go.mod benchstat OLD NEW
	@mkdir -p bin
	@$(GO) test -run '^$$' -bench . -benchmem -timeout 30m ./... >bin/bench.txt; rc=$$?; \
	grep -v 'no test files' bin/bench.txt; echo "kept in bin/bench.txt"; exit $$rc

conformance: ## the conformance suites, a line each
	@etc/conformance

clean: ## remove what was built here
	rm -rf bin
