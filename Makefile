# Two commands need nothing but Python, pip and make: `make quickstart` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt
# Extras that `make setup` and the developer's targets install: make setup EXTRAS=dev,ray,slurm,onnx
EXTRAS ?= dev
comma := ,
# Tests start many processes: without bytecode each of them compiles the package again, and each
# worker rewrites the assertions of every test.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup quickstart official test test-fast lint bench soak fuzz docs site clean

# One stamp file for the package, and one for each extra, which is installed in addition.
setup: $(VENV)/.ready $(patsubst %,$(VENV)/.ready-%,$(subst $(comma), ,$(EXTRAS)))

$(VENV)/.ready: pyproject.toml setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 …"; exit 1; }
	@echo "Setting up $(VENV) (PyTorch is large: this can take some minutes) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	@$(PIP) -e .
	@touch $@

$(VENV)/.ready-%: $(VENV)/.ready
	@$(PIP) -e '.[$*]'
	@touch $@

quickstart: $(VENV)/.ready
	@$(BIN)/resonance study quickstart
	@$(BIN)/resonance leaderboard build

# All official studies (`resonance info official`); `make official ARGS=--dry-run` says how long they
# take. Results are in the folder or URL of RESONANCE_STORE, by default in results/. Run it again to
# go on where it stopped; on several machines, give each other tasks: ARGS="--task digits/mlp".
official: $(VENV)/.ready
	@$(BIN)/resonance study official $(ARGS)

test: setup lint
	@$(BIN)/pytest -n 3 --dist worksteal

# The tests of numbers and records; `make test-fast M=suite/sparsity/masks.py` runs the tests of one
# module.
FAST := $(addprefix tests/,core experiments sparsity resonance baselines training results)
FAST += tests/leaderboard/statistics tests/leaderboard/bundles/test_record_checks.py \
  $(addprefix tests/leaderboard/test_,statistics.py statistics_comparison.py \
  statistics_known_answers.py boards.py chart_rows.py method_comparison.py pooled_scores.py \
  ablation_effects.py) \
  tests/evaluation/test_scores.py $(addprefix tests/integration/,test_golden_masks.py \
  test_every_method.py) tests/test_architecture.py
TESTS_OF_M = $(wildcard tests/$(dir $(M:suite/%=%))test_$(basename $(notdir $(M)))*.py)

test-fast: setup
	@$(BIN)/pytest $(if $(M),,-n 3 --dist worksteal) -m 'not (kill or ray or browser or wheel or slow)' \
	  $(if $(M),$(or $(TESTS_OF_M),$(error no test is named after M=$(M))),$(FAST))

# The same tests with the oldest versions that pyproject.toml allows, and today's tools to test with.
# Warnings are none of ours there: old libraries meet what newer ones deprecate.
OLDEST := build/oldest
.PHONY: test-oldest
test-oldest: $(VENV)/.ready
	@test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	@$(BIN)/uv pip compile --quiet --python $(OLDEST)/bin/python --resolution lowest-direct \
	  pyproject.toml --output-file $(OLDEST)/oldest.txt
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(OLDEST)/bin/python \
	  --constraints $(OLDEST)/oldest.txt -e '.[dev]'
	@$(OLDEST)/bin/pytest -n 3 --dist worksteal -W default \
	  -m 'not (kill or ray or browser or wheel or slow)' $(FAST)

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy

bench: setup
	@$(BIN)/resonance bench --check

soak: setup
	@$(BIN)/python -m tests.execution.soak
	@$(BIN)/python -m tests.execution.soak_containers

# A minute of it; `make fuzz ARGS="--seconds 3600 --seed 2"`.
fuzz: setup
	@$(BIN)/python -m tests.fuzz $(ARGS)

docs: $(VENV)/.ready
	@$(BIN)/python -m suite.cli.docs_pages

# The documentation, with the leaderboard of the shipped results inside: build/site/index.html.
# Both parts are rebuilt only where something has changed.
site: $(VENV)/.ready-docs
	@$(BIN)/sphinx-build -q -W --keep-going -D links_outside_leaderboard=1 -d build/doctrees -b html docs build/site
	@$(BIN)/resonance leaderboard build --shipped --out build/site/leaderboard >build/leaderboard.log
	@echo "Site: build/site/index.html"

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
