# Every target makes its own environment when it is missing; nothing has to be installed or typed first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check bench format slow clean

demo: $(VENV)/.installed  ## a leaderboard, a checked submission and run folders from real data, in two minutes
	$(BIN)/matinee run

test: $(VENV)/.installed-dev  ## all but the slow ones, two files at a time; ten minutes
	OMP_WAIT_POLICY=passive OPENBLAS_THREAD_TIMEOUT=4 $(BIN)/python -m pytest -n 2 --dist loadfile

slow: $(VENV)/.installed-dev  ## published numbers on whole data sets; minutes to a quarter of an hour
	$(BIN)/python -m pytest -m slow

check: $(VENV)/.installed-dev  ## style, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-dev  ## stages beside their floors, the zoo, fusion, auto-encoders, other libraries; hours
	$(BIN)/python benchmarks/stages.py
	$(BIN)/python benchmarks/zoo.py
	$(BIN)/python benchmarks/fusion.py
	$(BIN)/python benchmarks/autoencoders.py
	$(BIN)/python benchmarks/sizes.py
	$(BIN)/python benchmarks/peers.py

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis demo runs
