# What is needed is made on first use, inside this folder, and made again when the dependencies change.
# PYTHON=python3.12 chooses an interpreter; ARGS="--port 9999" goes to `kobako start`, PYTEST_ARGS="-x" to pytest.

PYTHON ?= python3
ARGS ?=
PYTEST_ARGS ?=
REQUESTS ?= 10000
BACKEND ?= sqlite
OPERATIONS ?= 500000
KILLS ?= 100
ROUNDS ?= 5

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --cache-dir .cache/pip -c constraints.txt
# Who has nothing left takes over what others have queued behind a long test. Of all tests, many wait for servers:
# on two cores three at a time take a minute less than two.
PYTEST = $(BIN)/python -m pytest -n $(if $(filter test,$@),3,2) --dist worksteal $(PYTEST_ARGS)
DEPENDENCIES := pyproject.toml constraints.txt

# Temporary files too stay in the folder; pytest keeps those of the last runs.
export TMPDIR := $(CURDIR)/.cache/tmp
$(shell mkdir -p .cache/tmp)

# Of the hundreds of servers that are started, not each compiles all modules anew.
unexport PYTHONDONTWRITEBYTECODE

# pip asks for the version of rustc, and a rustup that was never used would make its folder for that.
ifeq ($(wildcard $(HOME)/.rustup),)
export RUSTUP_HOME ?= $(CURDIR)/.cache/rustup
endif

.PHONY: help serve check test test-postgresql switches fuzz oracle bench scale profile lint docs fmt
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@echo "make serve   start the server on http://127.0.0.1:8888/v1/, with its data in this folder"
	@echo "make check   format, lint, types, docs and the quick tests: before each commit, about a minute"
	@echo "make test    all of that, and the tests with real servers and clients"
	@echo "make test-postgresql  the API on PostgreSQL behind PgBouncer, in partitions, and serializable"
	@echo "make switches break the server on purpose, in each way and on each backend: the oracle has to see it"
	@echo "make fuzz    10,000 odd requests to a real server: before each release; REQUESTS=, SEED= choose others"
	@echo "make oracle  writers, pollers and faults on a real server, for long; BACKEND=, OPERATIONS=, KILLS=, SEED= choose"
	@echo "make bench   Kobako beside Kinto, PocketBase and the limit: docs/benchmarks.md; ROUNDS=, ONLY=, QUICK=1 choose"
	@echo "make scale   what reads cost with up to 5 million records: docs/scale.md; SIZES= chooses"
	@echo "make profile where the time of a request goes, as a flame graph in .cache/bench; WORKLOAD= chooses"
	@echo "make docs    these documents and the API reference as a site: .cache/docs/html/index.html"
	@echo "make fmt     put the code into its format, and mend what the linter can"

serve: $(VENV)/.runtime
	@$(BIN)/python -m kobako start $(ARGS)

check: lint docs
	$(PYTEST) -m "not slow and not server and not clients"

test: lint docs
	$(PYTEST)

# A few minutes each; `make test` has a part of it.
test-postgresql: $(VENV)/.development
	for mode in pooler partitioned serializable; do \
		echo "PostgreSQL, $$mode"; \
		KOBAKO_TEST_POSTGRESQL_MODE=$$mode $(PYTEST) -k postgresql tests/api tests/backends/test_postgresql.py || exit 1; \
	done

# About 10 minutes; `make test` has a part of it.
switches: $(VENV)/.development
	KOBAKO_TEST_SWITCHES=all $(PYTEST) tests/consistency/test_switches.py

# The history of each run, and the seed that repeats it, stay in .cache/fuzz.
fuzz: $(VENV)/.development
	$(BIN)/python -m tests.fuzz.runs --requests $(REQUESTS) $(if $(SEED),--seed $(SEED))

# History and seed stay in .cache/consistency.
oracle: $(VENV)/.development
	$(BIN)/python -m tests.consistency --backend $(BACKEND) --operations $(OPERATIONS) --workers 4 --kills $(KILLS) \
		$(if $(SEED),--seed $(SEED))

# Other servers are installed into .cache/bench, in environments of their own. About 12 minutes; QUICK=1: 3.
bench: $(VENV)/.development
	$(BIN)/python -m bench --rounds $(ROUNDS) $(if $(QUICK),--quick) $(if $(ONLY),--only "$(ONLY)") $(if $(OUTPUT),--output $(OUTPUT))

# About 20 minutes, and 15 GB of disk meanwhile.
scale: $(VENV)/.development
	$(BIN)/python -m bench.scale $(if $(SIZES),--sizes $(SIZES)) $(if $(OUTPUT),--output $(OUTPUT))

profile: $(VENV)/.development
	$(BIN)/python -m bench.profile $(WORKLOAD)

lint: $(VENV)/.development
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# A warning is told once only: after one, all is read anew.
docs: $(VENV)/.development
	$(BIN)/sphinx-build -q -W -d .cache/docs/pages docs .cache/docs/html || { rm -rf .cache/docs; exit 1; }

fmt: $(VENV)/.development
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/.runtime: $(DEPENDENCIES) | $(BIN)/python
	@echo "Installing Kobako into $(VENV)"
	@$(PIP) -e .
	@touch $@

$(VENV)/.development: $(DEPENDENCIES) | $(BIN)/python
	@echo "Installing Kobako and its development tools into $(VENV)"
	@$(PIP) -e ".[dev]"
	@touch $@ $(VENV)/.runtime

# The name of the interpreter: gone when the one it stands for is, and then made again.
$(BIN)/python:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
		{ echo "Kobako needs Python 3.11 or later; '$(PYTHON)' is not. Choose another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
