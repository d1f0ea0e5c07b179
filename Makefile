# `make demo` and `make test` do all the set-up on a fresh machine: Python 3.11 or newer, make, a package index.
PYTHON ?= python3
BIN := .venv/bin
PIPFLAGS ?=

.DEFAULT_GOAL := test
.PHONY: demo test test-all test-gpu lint clean

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -U "pip>=25.1"
	$(BIN)/python -m pip install -q -c constraints.txt $(PIPFLAGS) -e . --group test
	@touch $@

demo: .venv/.ready
	$(BIN)/seqsci forecast --data demo-electricity --model informer

# Two tests at a time, each on one thread: small networks gain nothing from a second one.
test: .venv/.ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal

test-all: .venv/.ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not gpu"

# The Triton kernels on this machine's GPU; PIPFLAGS must bring a CUDA build of torch.
test-gpu: .venv/.ready
	$(BIN)/python -m pytest -q -rs -m gpu tests/kernels/on_triton/*.py

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv dist
