PYTHON ?= python3
BIN := .venv/bin
RUN := runs/digits

.PHONY: demo test test-slow lint bench benchmarks notebooks architecture clean

demo: .venv/installed
	$(BIN)/vae-jax train --config=experiments/digits.py --workdir=$(RUN)
	$(BIN)/vae-jax evaluate --workdir=$(RUN) --num_importance_samples=1000 --quadrature_points=300
	$(BIN)/vae-jax sample --workdir=$(RUN)
	$(BIN)/vae-jax report --workdir=$(RUN)

test: lint
	$(BIN)/python -m pytest -n 2 --durations=8

test-slow: .venv/installed-test
	$(BIN)/python -m pytest -m slow

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/installed-test
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks

benchmarks: bench
	$(BIN)/python -m benchmarks.ideas
	$(BIN)/python -m benchmarks.annealing
	$(BIN)/python -m benchmarks.gradients
	$(BIN)/python -m benchmarks.seeds
	$(BIN)/python -m benchmarks.sweeps
	$(BIN)/python -m benchmarks.startup

notebooks: .venv/installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[notebooks]'
	$(BIN)/python notebooks/remake.py

architecture: .venv/installed
	$(BIN)/python -m docs.architecture

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test]'
	touch $@

clean:
	rm -rf .venv runs
