# Two commands: `make demo` shows the product at work, `make test` runs all that CI runs. Each sets itself up.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# The newest Python from 3.11 on that can make virtual environments.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$p && break; done)
PIP := -m pip --disable-pip-version-check --quiet --no-input
VENV := .venv
HUB24 := .venvs/hub24
LINT := .venvs/lint
SOURCES := hfproxy tests

.PHONY: help demo test lint bench requirements clean

help:
	@echo "make demo    the product at work, with a made-up account and no network"
	@echo "make test    everything CI runs"
	@echo "make bench   what exec costs"

demo: $(VENV)/ready $(HUB24)/ready
	@PYTHONPATH=tests $(VENV)/bin/python -m demo

test: lint $(VENV)/ready $(HUB24)/ready
	@$(VENV)/bin/python -m pytest

lint: $(VENV)/ready $(LINT)/ready
	@$(LINT)/bin/ruff check --quiet $(SOURCES)
	@$(LINT)/bin/ruff format --quiet --check $(SOURCES)
	@$(LINT)/bin/mypy --no-error-summary --python-executable $(VENV)/bin/python
	@PYTHONPATH=. $(LINT)/bin/lint-imports --no-cache > .venvs/imports.log || { cat .venvs/imports.log; exit 1; }

bench: $(VENV)/ready
	@PYTHONPATH=tests $(VENV)/bin/python tests/bench/bench_exec.py

# What is pinned: `uv` is taken from wherever it is; no index address is written down.
requirements:
	@for name in runtime test lint hub24; do \
		uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
			--no-emit-index-url --no-emit-find-links requirements/$$name.in -o requirements/$$name.txt; done

# An environment is made anew when what is pinned for it changes.
$(VENV)/ready: requirements/test.txt Makefile
	$(call environment,$(VENV),requirements/test.txt)
	@echo "$(CURDIR)" > "$$($(VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/hfproxy.pth"
	@printf '#!%s\nimport sys\n\nfrom hfproxy.__main__ import main\n\nsys.exit(main())\n' \
		"$(CURDIR)/$(VENV)/bin/python" > $(VENV)/bin/hf-proxy
	@chmod +x $(VENV)/bin/hf-proxy
	@touch $@

$(HUB24)/ready: requirements/hub24.txt Makefile
	$(call environment,$(HUB24),requirements/hub24.txt)
	@touch $@

$(LINT)/ready: requirements/lint.txt Makefile
	$(call environment,$(LINT),requirements/lint.txt)
	@touch $@

# setuptools comes with older venvs and slows every start down.
define environment
	@test -n "$(PYTHON)" || { echo "hf-proxy needs Python 3.11 or newer with venv (Debian: apt install python3-venv);" \
		"or say which: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "setting up $(1) (once)"
	@"$(PYTHON)" -m venv --clear $(1)
	@$(1)/bin/python $(PIP) install --require-hashes --only-binary :all: -r $(2)
	@$(1)/bin/python $(PIP) uninstall --yes setuptools 2>/dev/null || true
endef

clean:
	rm -rf .venv .venvs dist build
