# `make run` and `make test` need Python, pip and make; they install the rest into .venv/ by themselves.

PYTHON = .venv/bin/python
FUZZ_EXAMPLES ?= 20000

# Tests run in as many processes as there are processors, four at most: each takes up to 4 GiB. A file's tests stay together.
WORKERS ?= logical
SHARED = -n $(WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help run demo test test-engines doctest lint format fuzz pictures lock clean

help: ## show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: .venv/.installed ## train, judge and publish a model; CONFIG=sample for the quick one
	$(PYTHON) local_runner.py $(if $(CONFIG),--config $(CONFIG))

demo: .venv/.installed ## publish the sample's model where none is published, and open a page that asks it
	@ls runs/serving/*/*/saved_model.pb >/dev/null 2>&1 || $(PYTHON) local_runner.py --config sample
	$(PYTHON) serve.py --open $(ARGS)

test: .venv/.installed-dev ## run all tests; ARGS="-m 'not slow'" for the fast ones
	$(PYTHON) -m pytest $(SHARED) $(ARGS)

test-engines: .venv/.installed-dev ## build real engines with Go, and run the tests against them
	$(PYTHON) tools/engines.py
	$(PYTHON) -m pytest -m engines $(ARGS)

doctest: .venv/.installed-dev ## run the examples in docstrings; `make test` does so too
	$(PYTHON) -m pytest tests/test_doctests.py

lint: .venv/.installed-dev ## check style, formatting and types
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

format: .venv/.installed-dev ## put code into shape
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

fuzz: .venv/.installed-dev ## throw random inputs at parsers, windows, titles, batches and replies; FUZZ_EXAMPLES=20000 for each test
	HYPOTHESIS_PROFILE=fuzz FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) \
		$(PYTHON) -m pytest tests/data tests/reliability tests/serving tests/kubeflow/test_connection.py -m fuzz $(ARGS)

pictures: .venv/.installed-dev ## make the pictures of the documents, from a run of the sample; needs Chromium
	$(PYTHON) local_runner.py --config sample
	$(PYTHON) -m tools.pictures runs/pipelines/next-movie-default-sample-random/report.html docs/images/report.png --height 1690

lock: .venv/.installed-dev ## compile requirements*.in into the pinned requirements*.txt
	.tools/bin/uv pip compile -q requirements.in -o requirements.txt \
		--python-version 3.10 --no-emit-index-url --no-annotate --custom-compile-command "make lock"
	.tools/bin/uv pip compile -q requirements-dev.in -o requirements-dev.txt \
		--python-version 3.10 --no-emit-index-url --no-annotate --custom-compile-command "make lock"

clean: ## remove the environment and the tools; runs/ stays
	rm -rf .venv .tools

.venv/.installed: requirements.txt tools/environment.sh
	@tools/environment.sh requirements.txt
	@touch $@

.venv/.installed-dev: requirements.txt requirements-dev.txt tools/environment.sh
	@tools/environment.sh requirements.txt requirements-dev.txt
	@touch .venv/.installed $@
