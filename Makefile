# Utskick's tasks. `make` alone lists them.

GO      ?= go
TOOL     = $(GO) tool -modfile=tools/go.mod
FUZZTIME ?= 10s
IMAGE   ?= utskick

.DEFAULT_GOAL := help
.PHONY: help build test check lint fuzz bench prove soak cover vuln generate image demo

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/utskick
	$(GO) build -trimpath -o bin/utskick ./cmd/utskick

demo: ## run the demo: no account, no database, nothing leaves this machine
	$(GO) run ./cmd/utskick demo

test: ## run the tests
	$(GO) test ./...

# The storage tests take longest, most of it in the embedded database, and so
# begin first.
check: ## what a change must pass: vet, the tests with the race detector, lint
	$(GO) vet ./...
	$(GO) test -race -timeout 20m ./storage ./...
	@$(MAKE) --no-print-directory lint

lint: ## run golangci-lint as .golangci.yml says
	$(TOOL) golangci-lint run ./...

fuzz: ## run every fuzzer for FUZZTIME (10s)
	@set -e; for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
		names=$$($(GO) test -list '^Fuzz' $$dir); \
		for name in $$(echo "$$names" | grep '^Fuzz'); do \
			echo "$$dir $$name"; \
			$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) $$dir; \
		done; \
	done

bench: ## measure the speed from launch to last settle
	$(GO) run ./bench

prove: ## put the program through every fault while a witness counts (some 30 minutes; ROWS=pattern for a few)
	$(GO) run ./e2e/prove -lanes 6 $(if $(ROWS),-rows '$(ROWS)')

soak: ## the same for DURATION (1h): campaigns of 200,000, objections, and a random fault every 20 to 60 s
	$(GO) run ./e2e/prove soak -duration $(or $(DURATION),1h) $(if $(SEED),-seed $(SEED))

cover: ## show how much of each function the tests reach
	$(GO) test -coverpkg=./... -coverprofile=cover.out ./...
	$(GO) tool cover -func=cover.out

vuln: ## look for known vulnerabilities in what is used (asks vuln.go.dev)
	$(TOOL) govulncheck ./...

generate: ## run go generate
	$(GO) generate ./...

image: ## build the container image IMAGE (utskick)
	docker build -t $(IMAGE) .
