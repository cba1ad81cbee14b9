# Two commands: `make demo` shows the product at work, `make test` runs all that CI runs. Each sets itself up.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# Another one: make PYTHON=python3.12. The path behind the links, so that an activated .venv does not become its own base.
CAN := import ensurepip, os, sys, venv; print(os.path.realpath(sys.executable)); sys.exit(sys.version_info < (3, 11))
ifdef PYTHON
BASE := $(shell found=$$($(PYTHON) -I -c '$(CAN)' 2>/dev/null) && echo "$$found")
else
BASE := $(shell for p in python3.13 python3.12 python3.11 python3; do \
	found=$$($$p -I -c '$(CAN)' 2>/dev/null) && echo "$$found" && break; done)
endif

PIP := -I -m pip --disable-pip-version-check --quiet --no-input
VENV := .venv
LINT := .venvs/lint
NODE := tests/e2e/clients/matrix/node
SOURCES := hfproxy tests
# The real clients, each in an environment of its own: .venvs/NAME, pinned in requirements/NAME.txt.
CLIENTS := hub036 hub133 hub24 libraries

# $(call ready,ENVIRONMENT,PINS): the file that says it is set up. Other pins, another interpreter, another place: made anew.
ready = $(1)/ready-$(shell { cat $(2); echo "$(BASE) $(CURDIR)"; } | cksum | cut -d ' ' -f 1)
in_venvs = $(call ready,.venvs/$(1),requirements/$(1).txt)
VENV_READY := $(call ready,$(VENV),requirements/test.txt)
LINT_READY := $(call in_venvs,lint)
DOCS_READY := $(call in_venvs,docs)
HUB24_READY := $(call in_venvs,hub24)
NODE_READY := $(call ready,$(NODE)/node_modules,$(NODE)/package-lock.json)
# Without Node.js its client's tests are listed as not run.
CLIENTS_READY := $(foreach name,$(CLIENTS),$(call in_venvs,$(name))) $(if $(shell command -v npm),$(NODE_READY))

.PHONY: help demo test lint bench figures coverage docs drift man requirements clean

help:
	@echo "make demo      the product at work, with a made-up account and no network"
	@echo "make test      everything CI runs"
	@echo "make bench     what everything costs, the data plane beside nginx and mitmproxy (needs nginx, wrk, an idle machine)"
	@echo "make figures   what was measured goes from build/ into docs/guide/performance.md"
	@echo "make coverage  which lines the tests do not run"
	@echo "make docs      the documentation as a site in build/site; fails on a broken link"
	@echo "make man       the manual pages, from what the commands say of themselves"
	@echo "make drift     OPENAPI=FILE: what the Hub has that the route table has not, and the other way round"

demo: $(VENV_READY) $(HUB24_READY)
	@PYTHONPATH=tests:tests/support $(VENV)/bin/python -m demo

test: lint $(VENV_READY) $(CLIENTS_READY)
	@$(VENV)/bin/python -m pytest

lint: $(VENV_READY) $(LINT_READY)
	@$(LINT)/bin/ruff check --quiet $(SOURCES)
	@$(LINT)/bin/ruff format --quiet --check $(SOURCES)
	@$(LINT)/bin/mypy --no-error-summary --python-executable $(VENV)/bin/python
	@PYTHONPATH=. $(LINT)/bin/lint-imports --no-cache > .venvs/imports.log || { cat .venvs/imports.log; exit 1; }

bench: $(VENV_READY) $(HUB24_READY) $(call in_venvs,mitmproxy)
	@$(VENV)/bin/python tests/bench/needs.py
	@missed=; for bench in "exec.py --fake" authorize.py revoke.py journal.py scan.py steps.py proxy.py; do \
		$(VENV)/bin/python tests/bench/bench_$$bench || missed="$$missed $${bench%% *}"; \
	done; test -z "$$missed" || { echo "above their bars:$$missed"; exit 1; }

figures: $(VENV_READY)
	@$(VENV)/bin/python tests/bench/figures.py

coverage: $(VENV_READY) $(CLIENTS_READY)
	@$(VENV)/bin/coverage erase
	@$(VENV)/bin/coverage run -m pytest
	@$(VENV)/bin/coverage combine --quiet
	@$(VENV)/bin/coverage report --skip-covered --show-missing

docs: $(DOCS_READY)
	@.venvs/docs/bin/python tests/toolchain/docs_site.py

man: $(VENV_READY)
	@PYTHONPATH=. $(VENV)/bin/python tests/toolchain/manual.py

drift: $(VENV_READY)
	@$(VENV)/bin/python tests/toolchain/drift.py "$(OPENAPI)"

# New pins, a week old at least: what is malicious is mostly found by then. Needs `uv` and `npm`. Written afresh, because uv takes
# hashes over from what it finds; from the package index alone, because a mirror may not know the files for other systems.
requirements:
	@for name in runtime test lint docs mitmproxy $(CLIENTS); do \
		uv pip compile --no-config --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
			--no-emit-index-url --no-emit-find-links --emit-build-options --exclude-newer "1 week" \
			requirements/$$name.in -o requirements/$$name.new >/dev/null; \
		mv requirements/$$name.new requirements/$$name.txt; done
	@rm -f $(NODE)/package-lock.json
	@npm --prefix $(NODE) install --package-lock-only --silent --before "$$(date -d '1 week ago' +%F)"

# The sources through a plain path entry: an editable install's import hook would slow every start down.
$(VENV_READY):
	$(call environment,$(VENV),test)
	@echo "$(CURDIR)" > "$$($(VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/hfproxy.pth"
	@printf '#!%s\nimport sys\n\nfrom hfproxy.__main__ import main\n\nsys.exit(main())\n' \
		"$(CURDIR)/$(VENV)/bin/python" > $(VENV)/bin/hf-proxy
	@chmod +x $(VENV)/bin/hf-proxy
	@touch $@

define rule_in_venvs
$(call in_venvs,$(1)):
	$$(call environment,.venvs/$(1),$(1))
	@touch $$@
endef
$(foreach name,lint docs mitmproxy $(CLIENTS),$(eval $(call rule_in_venvs,$(name))))

$(NODE_READY):
	@echo "setting up $(NODE) (once)"
	@npm --prefix $(NODE) ci --silent
	@touch $@

# setuptools comes with older venvs and slows every start down.
define environment
	@test -n "$(BASE)" || { echo "hf-proxy needs Python 3.11 or newer with venv$(if $(PYTHON), and $(PYTHON) is not that);" \
		"on Debian: apt install python3-venv; or say which: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "setting up $(1) (once)"
	@"$(BASE)" -m venv --clear $(1)
	@$(1)/bin/python $(PIP) install --require-hashes --only-binary :all: -r requirements/$(2).txt
	@$(1)/bin/python $(PIP) uninstall --yes setuptools 2>/dev/null || true
endef

clean:
	rm -rf .venv .venvs $(NODE)/node_modules .coverage .coverage.* dist build
