# One command sets up everything in .venv and does the work: `make demo`, `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SERVERS := $(VENV)/.servers

.PHONY: demo test test-servers test-all test-lowest check bench baseline screenshots packages soak clean

$(READY): pyproject.toml convert_sdk/_version.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[arrow,celery,cli,django,dramatiq,duckdb,fastapi,flask,litestar,openfeature,polars,quart,redis,requests,rq,server,signing,starlette,stats,ua,testing]" --group dev
	touch $(READY)

# What the tests of servers start: Celery, RQ, gevent and others; uWSGI is compiled, for about a minute.
$(SERVERS): $(READY) pyproject.toml
	$(BIN)/python -m pip install --quiet --group servers
	$(BIN)/python -m pip install --quiet --group uwsgi || echo "uWSGI needs a C compiler: its tests will be skipped"
	touch $(SERVERS)

demo: $(READY)
	$(BIN)/convert-sdk demo $(if $(PAGE),--page)

# First the tests of the pure core, a process for each processor: every branch of it is taken, or this fails. Then all
# others, two processes for each, as they wait more than they compute; their laws have fewer examples than in
# `make test-all`.
PYTEST := $(BIN)/python -m pytest --dist worksteal -m "not servers and not soak" --numprocesses
TWICE = $(shell $(BIN)/python -c "import os; print(2 * os.cpu_count())")
CORE := convert_sdk/_core tests/unit/_core tests/vectors tests/unit/_delivery/test_consent.py \
	$(addprefix tests/unit/,test_overrides.py test_values.py test_visitor.py)
LAWS := --hypothesis-profile short
COVERED := --cov=convert_sdk._core --cov-branch --cov-fail-under=100 --cov-report=term-missing:skip-covered

test: $(READY)
	$(PYTEST) auto $(COVERED) $(CORE)
	$(PYTEST) $(TWICE) $(LAWS) convert_sdk tests $(CORE:%=--ignore=%) --ignore=tests/servers

# Server programs and other foreign processes, each once and short.
test-servers: $(SERVERS)
	$(BIN)/python -m pytest -m "servers and not soak" tests

# Everything there is: all tests with every Python that is found, the soaks once, the lowest versions of what we need.
test-all: $(SERVERS)
	$(BIN)/python -m tests.interpreters
	$(BIN)/python -m pytest -m soak tests
	$(MAKE) test-lowest

# The lowest version of each package that pyproject.toml names for users, with the lowest Python. What these need in
# turn is the newest: an old typer imports what the click of its day had not deprecated, and works.
LOWEST := .venv-lowest
LOWEST_PYTHON ?= python3.11
test-lowest:
	$(LOWEST_PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(LOWEST)/bin/python -m tests.lowest > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --quiet --editable ".[arrow,celery,cli,django,dramatiq,duckdb,fastapi,flask,litestar,openfeature,polars,quart,redis,requests,rq,server,signing,starlette,stats,ua,testing]" --group test --group tables --group reliability \
		--constraint $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip check
	$(LOWEST)/bin/python -m pytest --numprocesses auto -W "ignore:'click.utils:DeprecationWarning" -m "not servers and not soak" \
		convert_sdk tests --ignore=tests/servers

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

# The short form of every measurement, under ten minutes; peers get virtual environments in .venv-peers.
bench: $(READY)
	$(BIN)/python -m benchmarks --short --write benchmarks/RESULTS.md

# The size of the code and its cycles of imports, beside those of another folder or revision: AGAINST=v0.1.0.
baseline: $(READY)
	$(BIN)/python -m benchmarks.baseline $(if $(AGAINST),--against $(AGAINST))

# The pictures of the page in docs/images, by a real browser (`make packages` installs it).
screenshots: $(SERVERS)
	$(BIN)/python -m tests.screenshots

# The long rows, and what callers feel while the network is bad: about ten minutes.
soak: $(SERVERS)
	$(BIN)/python -m pytest -m soak tests
	$(BIN)/python -m benchmarks.outage

# Debian packages that a few tests start for real; without them those tests skip and say so.
ROOT := $(if $(filter-out 0,$(shell id -u)),sudo)
packages:
	$(ROOT) apt-get update -qq
	$(ROOT) apt-get install -y -qq chromium faketime openjdk-17-jre-headless postgresql redis-server

clean:
	rm -rf $(VENV) .venv-peers .venv-3.* $(LOWEST)
