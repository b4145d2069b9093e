# make demo   set everything up, run ADA under telemetry on real servers, show what arrived
# make test   set everything up, lint nothing, run every test this machine can run
# make help   the rest

PYTHON ?= python3
VENV   ?= .venv
PY      = $(VENV)/bin/python
# How many tests run at once; two processors are enough for three, as most tests wait. tests/support/parallel.py
# says which. A process that dies ends the run.
WORKERS ?= 3
PYTEST   = bin/pytest -n $(WORKERS) --max-worker-restart 0
UV      = $(VENV)/bin/uv
UV_VERSION = 0.13.9

SOURCES := $(shell find ada_otel -name '*.py') pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help setup wheel lint format test test-unit test-oldest demo stack stack-status stack-down \
        bench drills docs requirements clean

help:
	@echo 'make demo          run ADA under telemetry on real servers and show what arrived (ONCE=1: do not wait)'
	@echo 'make test          run the tests, with the real servers that this machine can start'
	@echo 'make lint          ruff and mypy'
	@echo 'make stack         start the servers: collector, Prometheus, Alertmanager, Elasticsearch, Redis, PostgreSQL'
	@echo 'make stack-status  what runs, and where'
	@echo 'make stack-down    stop it'
	@echo 'make test-unit     the tests that need no server'
	@echo 'make test-oldest   the unit tests on the oldest versions that are supported'
	@echo 'make bench         overhead beside other distributions'
	@echo 'make drills        forks, exits and outages, in their long form, with a report'
	@echo 'make docs          write the generated pages of docs/ again'

$(UV):
	@echo '== making the virtual environment in $(VENV)'
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo 'ada-otel needs Python 3.10 or newer; set PYTHON=/path/to/python3'; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo 'python3 -m venv failed; on Debian: apt-get install python3-venv'; exit 1; }
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(VENV)/.dependencies: requirements/dev.txt | $(UV)
	@echo '== installing the pinned packages (about a minute the first time)'
	@$(UV) pip install --quiet --compile-bytecode --python $(PY) --requirement requirements/dev.txt
	@touch $@

# The tests and the demo run what users install: the built wheel.
$(VENV)/.wheel: $(SOURCES) README.md LICENSE $(VENV)/.dependencies
	@echo '== building and installing the wheel'
	@rm -rf dist && $(UV) build --quiet --wheel --python $(PY) --out-dir dist .
	@$(UV) pip install --quiet --compile-bytecode --python $(PY) --no-deps --reinstall dist/*.whl
	@touch $@

setup: $(VENV)/.wheel
wheel: $(VENV)/.wheel

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(PY) -m tools.drift

format: setup
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

test: setup
	-@$(PY) -m tools.stack ensure
	$(VENV)/$(PYTEST) $(PYTEST_ARGS)

test-unit: setup
	$(VENV)/$(PYTEST) tests/unit $(PYTEST_ARGS)

test-oldest: setup
	@echo '== installing the oldest supported versions'
	@$(UV) venv --quiet --allow-existing --python 3.10 .venv-oldest 2>/dev/null \
	  || $(UV) venv --quiet --allow-existing --python $(PY) .venv-oldest
	@$(UV) pip install --quiet --compile-bytecode --python .venv-oldest --requirement requirements/oldest.txt
	@$(UV) pip install --quiet --compile-bytecode --python .venv-oldest --no-deps --reinstall dist/*.whl
	.venv-oldest/$(PYTEST) tests/unit --ignore-glob='*/test_tools_*' --ignore-glob='*/test_co*' \
	  --ignore=tests/unit/test_docs.py --ignore=tests/unit/test_example_ada.py \
	  --ignore=tests/unit/test_benchmarks.py --ignore=tests/unit/analysis \
	  --ignore=tests/unit/sentry_bridge --ignore=tests/unit/dashboards --ignore=tests/unit/test_kubernetes.py \
	  --ignore=tests/unit/test_drift.py --ignore=tests/unit/test_alerts_page.py --ignore=tests/unit/test_shortened.py \
	  --ignore=tests/unit/test_kibana.py --ignore=tests/unit/test_sizing.py --ignore=tests/unit/test_drilled.py --ignore=tests/unit/test_runbooks.py \
	  --ignore=tests/unit/business/test_typing.py --ignore=tests/unit/test_parallel.py $(PYTEST_ARGS)

demo: setup
	@$(PY) -m tools.demo $(if $(ONCE),--once)

stack: setup
	@$(PY) -m tools.stack up

stack-status: setup
	@$(PY) -m tools.stack status

stack-down: setup
	@$(PY) -m tools.stack down

bench: setup
	@$(PY) -m benchmarks $(BENCH_ARGS)

# The report holds what was sent, found, lost and hung, and seconds; the long form takes about an hour.
drills: setup
	-@$(PY) -m tools.stack ensure
	@rm -f .drills/report.json
	ADA_DRILL_LONG=1 ADA_OTEL_FORK_CHILDREN=1000 ADA_DRILL_REPORT=$(CURDIR)/.drills/report.json \
	  $(VENV)/bin/pytest tests/drills tests/unit/pipeline/test_export_fork.py \
	  tests/unit/pipeline/test_metrics_fork.py tests/integration/test_sentry_issues.py $(PYTEST_ARGS)
	@echo 'the figures: .drills/report.json'

docs: setup
	@$(PY) -m tools.docs
	@$(PY) -m tools.drift.alerts_page

requirements: $(UV)
	$(UV) pip compile --quiet --universal --python-version 3.10 --extra config-file --extra analysis --extra ai --extra dashboards --no-annotate --no-header \
	  requirements/dev.in pyproject.toml --output-file requirements/dev.txt
	$(UV) pip compile --quiet --python-version 3.10 --resolution lowest-direct --extra config-file --extra analysis --extra ai --no-annotate \
	  --no-header requirements/oldest.in pyproject.toml --output-file requirements/oldest.txt

clean:
	rm -rf .venv .venv-oldest dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
