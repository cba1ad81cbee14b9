# `make demo` shows the product at work; `make check`, `make test` and `make test-all` are the tiers of tests. Each sets itself up.

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
WHEEL := .venvs/wheel
NODE := tests/e2e/clients/matrix/node
SOURCES := hfproxy tests
# The real clients, each in an environment of its own: .venvs/NAME, pinned in requirements/NAME.txt.
CLIENTS := hub036 hub133 hub24 libraries
# Environments that hold nothing but pinned packages lie outside the checkout, named after their pins and the interpreter, and
# .venvs/NAME is a link to one: a fresh or a moved checkout uses those that are there.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/hf-proxy/environments
# On all processors, and what must not run at the same time in one worker (tests/conftest.py).
PYTEST = $(VENV)/bin/python -m pytest -n auto --dist loadgroup

checksum = $(shell { cat $(1); echo "$(BASE) $(2)"; } | cksum | cut -d ' ' -f 1)
# $(call ready,ENVIRONMENT,PINS): the file that says it is set up. Other pins, another interpreter, another place: made anew.
ready = $(1)/ready-$(call checksum,$(2),$(CURDIR))
# $(call in_venvs,NAME): the same of .venvs/NAME, which may be moved.
in_venvs = .venvs/$(1)/ready-$(call checksum,requirements/$(1).txt)
VENV_READY := $(call ready,$(VENV),requirements/test.txt)
WHEEL_READY := $(call ready,$(WHEEL),requirements/runtime.txt)
LINT_READY := $(call in_venvs,lint)
DOCS_READY := $(call in_venvs,docs)
HUB24_READY := $(call in_venvs,hub24)
NODE_READY := $(call ready,$(NODE)/node_modules,$(NODE)/package-lock.json)
# Without Node.js its client's tests are listed as not run.
CLIENTS_READY := $(foreach name,$(CLIENTS),$(call in_venvs,$(name))) $(if $(shell command -v npm),$(NODE_READY))

.PHONY: help demo check test test-all test-boot environments wheel lint bench figures coverage mutants docs drift man requirements clean

help:
	@echo "make demo      the product at work, with a made-up account and no network"
	@echo
	@echo "make check     lint, types, import contracts, tests of core, detect and vault: under a minute, at every save"
	@echo "make test      every test against the installed wheel, with the budgets of a pull request: what CI runs"
	@echo "make test-all  every test with full budgets, and the demo without a network: nightly, before a release"
	@echo "make test-boot a Debian that boots with hf-proxy as a service, in BOOT=DIRECTORY: before a release (needs root)"
	@echo
	@echo "make bench     what everything costs, the data plane beside nginx and mitmproxy (needs nginx, wrk, an idle machine)"
	@echo "make figures   what was measured goes from build/ into docs/guide/performance.md"
	@echo "make coverage  which lines the tests do not run"
	@echo "make mutants   how many seeded changes of the deciding code the unit tests notice"
	@echo "make docs      the documentation as a site in build/site; fails on a broken link"
	@echo "make man       the manual pages, from what the commands say of themselves"
	@echo "make drift     OPENAPI=FILE: what the Hub has that the route table has not, and the other way round"

demo: $(VENV_READY) $(HUB24_READY)
	@PYTHONPATH=tests:tests/support $(VENV)/bin/python -m demo

check: lint
	@$(PYTEST) --quiet tests/unit/core tests/unit/detect tests/unit/vault/test_memory.py tests/unit/vault/test_sealed_file.py \
		tests/toolchain/test_shape.py

test: lint environments wheel
	@HFPROXY_PYTHON="$(CURDIR)/$(WHEEL)/bin/python" $(PYTEST)

test-all: export HFPROXY_BUDGET := full
test-all: test
	@unshare --user --map-root-user --net sh -c 'ip link set lo up && exec $(MAKE) --no-print-directory demo'

test-boot: $(VENV_READY) $(LINT_READY)
	@tests/boot/run.sh "$(or $(BOOT),build/boot)"

# Two at a time: much of it is waiting for the package index.
environments:
	@$(MAKE) --no-print-directory --silent --jobs=2 $(VENV_READY) $(WHEEL_READY) $(LINT_READY) $(CLIENTS_READY)

# What users get: the wheel, in an environment with the pinned runtime and nothing else. The tests start the daemon and the
# commands from it.
wheel: $(WHEEL_READY) $(LINT_READY)
	@rm -rf build/wheel
	@$(LINT)/bin/python $(PIP) wheel --no-deps --no-build-isolation --wheel-dir build/wheel .
	@$(WHEEL)/bin/python $(PIP) install --no-deps --no-index --force-reinstall build/wheel/hf_proxy-*.whl

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
	@$(VENV)/bin/coverage run -m pytest -n auto --dist loadgroup
	@$(VENV)/bin/coverage combine --quiet
	@$(VENV)/bin/coverage report --skip-covered --show-missing

docs: $(DOCS_READY)
	@.venvs/docs/bin/python tests/toolchain/docs_site.py

man: $(VENV_READY)
	@PYTHONPATH=. $(VENV)/bin/python tests/toolchain/manual.py

# Another sample: make mutants SEED=7 SAMPLE=60 PACKAGES="core/hub daemon/grants".
SAMPLE ?= 25
mutants: $(VENV_READY)
	@PYTHONPATH=tests $(VENV)/bin/python -m toolchain.mutants --sample $(SAMPLE) $(if $(SEED),--seed $(SEED)) $(PACKAGES)

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

$(WHEEL_READY):
	$(call environment,$(WHEEL),runtime)
	@touch $@

# In the cache, unless it is there; the lock is for two checkouts that set it up at the same time.
define rule_in_venvs
$(call in_venvs,$(1)): cached = $$(CACHE)/$(1)-$$(call checksum,requirements/$(1).txt)
$(call in_venvs,$(1)):
	$$(need_base)
	@mkdir -p "$$(CACHE)" .venvs && if [ -d .venvs/$(1) ] && [ ! -L .venvs/$(1) ]; then rm -r .venvs/$(1); fi
	@exec 9>"$$(cached).lock"; if command -v flock >/dev/null; then flock 9; fi; \
	ln -sfn "$$(cached)" .venvs/$(1); [ -e $$@ ] || { $$(call set_up,$$(cached),$(1)); touch $$@; }
endef
$(foreach name,lint docs mitmproxy $(CLIENTS),$(eval $(call rule_in_venvs,$(name))))

$(NODE_READY):
	@echo "setting up $(NODE) (once)"
	@npm --prefix $(NODE) ci --silent
	@touch $@

# $(call set_up,ENVIRONMENT,NAME): one line of shell. setuptools comes with older venvs and slows every start down.
set_up = echo "setting up $(2) (once)" && "$(BASE)" -m venv --clear "$(1)" \
	&& "$(1)/bin/python" $(PIP) install --require-hashes --only-binary :all: -r requirements/$(2).txt \
	&& { "$(1)/bin/python" $(PIP) uninstall --yes setuptools 2>/dev/null || true; }

define need_base
	@test -n "$(BASE)" || { echo "hf-proxy needs Python 3.11 or newer with venv$(if $(PYTHON), and $(PYTHON) is not that);" \
		"on Debian: apt install python3-venv; or say which: make PYTHON=/path/to/python3.12" >&2; exit 1; }
endef

define environment
	$(need_base)
	@$(call set_up,$(1),$(2))
endef

clean:
	rm -rf .venv .venvs $(NODE)/node_modules .coverage .coverage.* dist build
