# The same few commands here and in CI.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  = -s -w -X main.version=$(VERSION)

.PHONY: build test lint race e2e bench benchmarks fuzz clean

build: ## the static binary
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o postrider ./cmd/postrider

test: ## what the README calls
	go test ./...

race:
	go test -race ./...

lint:
	@files=$$(gofmt -l .); test -z "$$files" || { echo "gofmt would change:"; echo "$$files"; exit 1; }
	go vet ./...
	go vet -tags realpeers ./internal/e2e
	go tool staticcheck -tags realpeers ./...

e2e: ## with real peers: needs postfix, swaks, curl, msmtp, python3
	go test -race -count=1 -tags realpeers -timeout 15m ./internal/e2e

bench: ## beside Postfix; see docs/performance.md
	go run ./internal/bench

BENCHCOUNT ?= 10
benchmarks: ## Go benchmarks of each stage of a message's way, for benchstat
	go test -run '^$$' -bench . -benchmem -count $(BENCHCOUNT) ./routing ./queue/... ./relay/...

FUZZTIME ?= 30s
fuzz: ## every fuzz target for FUZZTIME
	@for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$target"; \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
		done; \
	done

clean:
	rm -f postrider
