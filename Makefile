# Every task of the project. `make` alone lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c

GO      ?= go
FUZZTIME ?= 30s
# What one fuzzing run, one test run and one benchmark may take at most.
TEST_TIMEOUT ?= 25m

MODULE  := github.com/casparian-flow/casparian-worker
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
# Arrow's own JSON, which the worker never uses, is then made of the standard
# library instead of a megabyte of another.
TAGS    := arrow_json_stdlib
BINARY  := bin/casparian-worker

# The platforms the worker must build for.
PLATFORMS := linux/amd64 linux/arm64 darwin/arm64 windows/amd64

# What the binary for linux/amd64 may have at most; check-size FILE PLATFORM fails
# beyond it. When it jumps by megabytes, something reached reflect's MethodByName
# (a template, mostly), and the linker keeps every exported method since:
# go build -ldflags=-dumpdep ./cmd/casparian-worker 2>&1 | grep ReflectMethod
SIZE_LIMIT := 15000000
define check-size
	size="$$(wc -c < $(1) | tr -d ' ')"; \
	printf '%s: %s bytes, %s\n' $(1) "$$size" $(2); \
	if [ $(2) = linux/amd64 ] && [ "$$size" -gt $(SIZE_LIMIT) ]; then \
	    echo "$(1) is larger than $(SIZE_LIMIT) bytes" >&2; exit 1; \
	fi
endef

# The real parts of the tests: a CPython with libzmq, pyarrow, duckdb, polars, and uv.
TOOLS       := .tools/py
TOOLS_STAMP := $(TOOLS)/.requirements

.PHONY: help
help: ## list these tasks
	@echo "casparian-worker: make TASK"
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  \1|\2/' | column -t -s '|'

.PHONY: tools
tools: $(TOOLS_STAMP) ## install the real parts that the tests run against

# The stamp is a copy of the requirements, written last: a run that was cut
# short, or a changed requirement, installs again.
$(TOOLS_STAMP): integration/requirements.txt integration/python3-or-later
	@python="$$(integration/python3-or-later)"; \
	echo "tools: $$("$$python" --version) into $(TOOLS)"; \
	rm -rf $(TOOLS); \
	"$$python" -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check -r integration/requirements.txt
	@cp integration/requirements.txt $@

# The race detector needs a C compiler. Without one the tests run all the same,
# and say so.
CC_FOUND := $(shell command -v $${CC:-cc} || command -v gcc || true)
RACE     := $(if $(CC_FOUND),-race,)

.PHONY: build
build: ## build bin/casparian-worker for this machine
	@CGO_ENABLED=0 $(GO) build -trimpath -tags '$(TAGS)' -ldflags '$(LDFLAGS)' -o $(BINARY) ./cmd/casparian-worker
	@$(call check-size,$(BINARY),"$$($(GO) env GOOS)/$$($(GO) env GOARCH)")
	@$(BINARY) version

.PHONY: test
test: tools ## run every test, with the race detector
	@$(if $(RACE),,echo 'no C compiler found: the tests run WITHOUT the race detector' >&2)
	$(GO) tool gotestsum --format pkgname-and-test-fails --format-hide-empty-pkg --packages ./... $(GOTESTSUM_FLAGS) -- $(RACE) -timeout $(TEST_TIMEOUT) $(TESTFLAGS)

.PHONY: interop
interop: tools ## let parquet-java read what the encoder writes (needs a JDK >= 17 and Maven)
	@for tool in javac java mvn; do \
	    command -v $$tool > /dev/null || { echo "interop: no $$tool on PATH; it needs a JDK >= 17 and Maven" >&2; exit 1; }; \
	done
	mvn -B -q -f integration/parquetjava/pom.xml compile
	$(GO) test -count 1 -timeout $(TEST_TIMEOUT) -tags interop -run '^TestParquetJava' -v ./sink/rowgroup

.PHONY: lint
lint: ## gofmt, go vet and staticcheck, on every platform
	@unformatted="$$(gofmt -l .)"; \
	if [ -n "$$unformatted" ]; then printf 'not formatted with gofmt:\n%s\n' "$$unformatted" >&2; exit 1; fi
	@$(GO) build -o bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	@for platform in $(PLATFORMS); do \
	    echo "lint $$platform"; \
	    export GOOS=$${platform%/*} GOARCH=$${platform#*/} CGO_ENABLED=0; \
	    $(GO) vet ./...; \
	    bin/staticcheck ./...; \
	done

.PHONY: cross
cross: ## build and vet for every platform
	@for platform in $(PLATFORMS); do \
	    export GOOS=$${platform%/*} GOARCH=$${platform#*/} CGO_ENABLED=0; \
	    target=bin/casparian-worker-$$GOOS-$$GOARCH; \
	    if [ $$GOOS = windows ]; then target=$$target.exe; fi; \
	    $(GO) build -trimpath -tags '$(TAGS)' -ldflags '$(LDFLAGS)' -o $$target ./cmd/casparian-worker; \
	    $(GO) vet ./...; \
	    $(call check-size,$$target,$$platform); \
	done

# uv builds the plugin's environment, as for a Sentinel's job. What the demo
# makes stays under .demo.
DEMO := .demo
.PHONY: demo
demo: build tools ## run a real plugin on a real public data set
	@rm -rf $(DEMO)/output
	@PATH="$(CURDIR)/$(TOOLS)/bin:$$PATH" $(BINARY) local \
	    examples/nyc-weather/plugin.py examples/nyc-weather/weather.csv \
	    --requirements pandas,pyarrow --output $(DEMO)/output --venvs-dir $(DEMO)/venvs

RANDOM_TABLES ?= 2000
.PHONY: fuzz
fuzz: tools ## run every fuzz target for FUZZTIME each, and RANDOM_TABLES tables through the encoder
	CASPARIAN_RANDOM_TABLES=$(RANDOM_TABLES) $(GO) test -run RandomTables -timeout 2h ./sink/rowgroup
	@grep -rlE '^func Fuzz' --include='*_test.go' . | sort | while read -r file; do \
	    package="./$$(dirname "$${file#./}")"; \
	    for target in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$$file"); do \
	        echo "fuzz $$package $$target $(FUZZTIME)"; \
	        $(GO) test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) -fuzzminimizetime=10x "$$package"; \
	    done; \
	done

# DRILLS="kills power" runs these parts only, SEED=7 repeats a run, KILLS=50 is shorter.
.PHONY: drill
drill: build tools ## kill the worker and its Sentinel, cut the power, fill the disk, break the network, and look at what is left
	integration/every-drill $(DRILLS)

.PHONY: large
large: tools ## write 100 million rows to one file, and let every reader scan it
	$(GO) test -count 1 -timeout 2h -tags drill -run '^TestDrillHundredMillionRows$$' -v ./sink/rowgroup

# Rust's writer takes part where there is a cargo. BENCHFLAGS=-turns=20
# takes longer and is steadier.
.PHONY: bench
bench: workerbench linkbench ## measure the worker, the link, and the Parquet encoder beside others, into docs/benchmarks.md
	@$(GO) build -o bin/encoderbench/encoderbench ./integration/encoderbench
	bin/encoderbench/encoderbench -python $(TOOLS)/bin/python -document docs/benchmarks.md $(BENCHFLAGS)

# The whole worker. WORKERBENCHFLAGS="-scenarios small,CSV" measures some loads,
# -long a stream of 100 million rows besides.
.PHONY: workerbench
workerbench: build tools ## measure the whole worker beside a plain one and the floor, into docs/benchmarks.md
	@$(GO) build -o bin/workerbench ./integration/workerbench
	bin/workerbench -python $(TOOLS)/bin/python -document docs/benchmarks.md -chart docs/benchmarks.svg $(WORKERBENCHFLAGS)

# The link. LINKBENCHFLAGS=-repetitions=15 takes longer and is steadier.
.PHONY: linkbench
linkbench: tools ## measure the link to libzmq beside pyzmq, into docs/benchmarks.md
	@$(GO) build -o bin/linkbench ./integration/linkbench
	bin/linkbench -python $(TOOLS)/bin/python -document docs/benchmarks.md $(LINKBENCHFLAGS)

PROFILES := bin/profiles
.PHONY: profile
profile: build tools ## profile the worker under each load, into bin/profiles, and show the top of each
	@$(GO) build -o bin/workerbench ./integration/workerbench
	@rm -rf $(PROFILES)
	bin/workerbench -python $(TOOLS)/bin/python -profiles $(PROFILES) $(WORKERBENCHFLAGS)
	@for folder in $(PROFILES)/*/; do \
	    echo "== $$(basename "$$folder")"; \
	    $(GO) tool pprof -top -nodecount 25 $(BINARY) "$$folder/cpu.pprof" 2> /dev/null | tail -n +4; \
	done

MANYJOBS ?= 10000
.PHONY: manyjobs
manyjobs: build tools ## run MANYJOBS small jobs and see whether anything grows, into docs/benchmarks.md
	@$(GO) build -o bin/workerbench ./integration/workerbench
	bin/workerbench -python $(TOOLS)/bin/python -document docs/benchmarks.md -many $(MANYJOBS)

.PHONY: microbench
microbench: ## run the Go benchmarks of all packages
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: clean
clean: ## remove what was built, and the installed parts
	rm -rf bin .tools $(DEMO) integration/parquetjava/target
