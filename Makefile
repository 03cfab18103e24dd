# One environment, .venv, made from requirements/*.txt. uv does it where it is there,
# python3 with venv and pip where it is not.

VENV := .venv
PY := $(VENV)/bin/python
UV ?= $(shell command -v uv 2>/dev/null)
HOST_PYTHON = $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
COMPILE = "$(UV)" pip compile --quiet --no-config --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make requirements"
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo console test check bench docs wheel requirements clean

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.installed ## a governed fleet at work on this checkout
	@if command -v npm >/dev/null && $(PY) hatch_build.py; then :; \
	else echo "== demo: the console is not built; with npm there, 'make console' builds it"; fi
	@echo "== demo: $(VENV)/bin/assent demo"
	@$(VENV)/bin/assent demo

console: $(VENV)/.installed ## build bus/console/dist, which a node serves at /; needs npm
	@echo "== console: npm ci, tsc, esbuild"
	@$(PY) hatch_build.py

test: $(VENV)/.installed ## all tests; what needs an absent program is skipped by name
	@echo "== test: pytest $(PYTEST_ARGS)"
	@$(PY) -m pytest $(PYTEST_ARGS)

check: $(VENV)/.installed ## style, types, import contracts; Rego where opa is there
	@echo "== check: ruff"
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@echo "== check: mypy"
	@$(PY) -m mypy
	@echo "== check: import contracts"
	@$(VENV)/bin/lint-imports
	@if command -v opa >/dev/null; then $(MAKE) --no-print-directory rego; \
	else echo "== check: opa is not there, Rego left unchecked"; fi

.PHONY: rego
rego:
	@echo "== check: opa fmt, check --strict, test"
	@opa fmt --fail --list policy/rego
	@opa check --strict $(REGO)
	@opa test $(REGO)
	@for example in policy/rego/examples/*/; do \
		opa check --strict $$example && opa test $$example || exit 1; done

# An example is a policy of its own, with the entry rule that the library has too.
REGO := $(filter-out policy/rego/examples/,$(wildcard policy/rego/*/))

bench: $(VENV)/.installed-bench ## Assent beside its peers and the floor, as ratios
	@echo "== bench: python -m benchmarks"
	@$(PY) -m benchmarks

.PHONY: crash-report
REPORT_ARGS ?=
crash-report: $(VENV)/.installed ## break the durable bus in every way, into build/crash-report.md
	@echo "== crash-report: python -m tests.crash.report $(REPORT_ARGS)"
	@$(PY) -m tests.crash.report $(REPORT_ARGS)

docs: $(VENV)/.installed ## build docs/_build/html; a broken link is an error
	@echo "== docs: sphinx"
	@$(PY) -m sphinx --fail-on-warning --keep-going --nitpicky --quiet docs docs/_build/html
	@echo "docs/_build/html/index.html"

wheel: $(VENV)/.installed ## build the wheel into dist/
	@echo "== wheel"
	@rm -rf dist
	@$(PY) -m hatchling build -t wheel -d dist

requirements: ## pin requirements/*.txt anew, from PyPI; needs uv
	@test -n "$(UV)" || { echo "make requirements needs uv"; exit 1; }
	@echo "== requirements: uv pip compile"
	@$(COMPILE) $(UPGRADE) pyproject.toml -o requirements/run.txt
	@$(COMPILE) $(UPGRADE) pyproject.toml --group dev -c requirements/run.txt -o requirements/dev.txt
	@$(COMPILE) $(UPGRADE) pyproject.toml --extra bench -c requirements/dev.txt -o requirements/bench.txt

clean: ## remove the environment, caches and everything built
	rm -rf bus/console/dist bus/console/node_modules
	rm -rf $(VENV) dist build docs/_build .coverage .coverage.* .benchmarks
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find bus policy processors tests benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# The stamps: an environment is made once, and again filled only when what it is made
# from has changed.
$(VENV)/.installed: requirements/dev.txt pyproject.toml
	@$(call environment)
	@echo "== install: $< and this checkout"
	@$(call install,--require-hashes -r $<)
	@$(call install,--no-deps --no-build-isolation -e .)
	@touch $@

$(VENV)/.installed-bench: requirements/bench.txt $(VENV)/.installed
	@echo "== install: $<"
	@$(call install,--require-hashes -r $<)
	@touch $@

ifneq ($(UV),)
environment = test -x $(PY) || { echo "== environment: uv venv $(VENV)"; \
	rm -rf $(VENV); "$(UV)" venv --quiet --python '>=3.11' $(VENV); }
install = "$(UV)" pip install --quiet --python $(PY) $(1)
else
environment = test -n "$(HOST_PYTHON)" || { echo "no Python of 3.11 or later found"; exit 1; }; \
	test -x $(PY) || { echo "== environment: $(HOST_PYTHON) -m venv $(VENV)"; \
	rm -rf $(VENV); $(HOST_PYTHON) -m venv $(VENV); }; \
	$(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip --default-pip
install = $(PY) -m pip install --quiet --disable-pip-version-check $(1)
endif
