# Every task of the project. `make` alone lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c

GO      ?= go
FUZZTIME ?= 30s
# What one fuzzing run, one test run and one benchmark may take at most.
TEST_TIMEOUT ?= 15m

MODULE  := github.com/casparian-flow/casparian-worker
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
BINARY  := bin/casparian-worker

# The platforms the worker must build for.
PLATFORMS := linux/amd64 linux/arm64 darwin/arm64 windows/amd64

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
