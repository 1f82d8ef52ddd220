# `make run` and `make test` need Python, pip and make; they install the rest into .venv/ by themselves.

PYTHON = .venv/bin/python

# Which TFX: 1.21 where the C library is new enough, else 1.16. LANE=1.16 or LANE=1.21 chooses by hand. One at a time is
# installed.
ifneq ($(MAKECMDGOALS),test-lane)
THIS_LANE := $(shell tools/choose_lane.sh $(LANE))
ifeq ($(THIS_LANE),)
$(error no lane)
endif
endif
LOCK = $(if $(filter 1.16,$(THIS_LANE)),requirements.txt,requirements-tfx121.txt)
DEV_LOCK = $(if $(filter 1.16,$(THIS_LANE)),requirements-dev.txt,requirements-dev-tfx121.txt)
INSTALLED = .venv/.installed-$(THIS_LANE)
INSTALLED_DEV = .venv/.installed-dev-$(THIS_LANE)
COMPILE = .tools/bin/uv pip compile -q --no-emit-index-url --no-annotate --custom-compile-command "make lock"

FUZZ_EXAMPLES ?= 20000
PICTURE_PORT = 8599

# Tests run in as many processes as there are processors, four at most: each takes up to 4 GiB. A file's tests stay together.
WORKERS ?= logical
SHARED = -n $(WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help run demo test test-lane test-engines doctest lint format fuzz pictures lock clean say-lane

help: ## show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: say-lane $(INSTALLED) ## train, judge and publish a model; CONFIG=sample for the quick one
	$(PYTHON) local_runner.py $(if $(CONFIG),--config $(CONFIG))

demo: say-lane $(INSTALLED) ## publish the sample's model where none is published, and open a page that asks it
	@ls runs/serving/*/*/saved_model.pb >/dev/null 2>&1 || $(PYTHON) local_runner.py --config sample
	$(PYTHON) serve.py --open $(ARGS)

test: say-lane $(INSTALLED_DEV) ## run all tests; ARGS="-m 'not slow'" for the fast ones
	$(PYTHON) -m pytest $(SHARED) $(ARGS)

test-lane: ## run the tests of LANE=1.21 in a Debian 13 tree, which is made if need be; ARGS as for `make test`
	@tools/lane.py make test LANE=$(or $(LANE),1.21)

test-engines: $(INSTALLED_DEV) ## build real engines with Go, and run the tests against them
	$(PYTHON) tools/engines.py
	$(PYTHON) -m pytest -m engines $(ARGS)

doctest: $(INSTALLED_DEV) ## run the examples in docstrings; `make test` does so too
	$(PYTHON) -m pytest tests/test_doctests.py

lint: $(INSTALLED_DEV) ## check style, formatting and types
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

format: $(INSTALLED_DEV) ## put code into shape
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

fuzz: $(INSTALLED_DEV) ## throw random inputs at parsers, windows, titles, batches and replies; FUZZ_EXAMPLES=20000 for each test
	HYPOTHESIS_PROFILE=fuzz FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) \
		$(PYTHON) -m pytest tests/data tests/reliability tests/serving tests/kubeflow/test_connection.py -m fuzz $(ARGS)

pictures: $(INSTALLED_DEV) ## make the pictures of the documents, from a run of the sample; needs Chromium
	$(PYTHON) local_runner.py --config sample
	$(PYTHON) -m tools.pictures runs/pipelines/next-movie-default-sample-random/report.html docs/images/report.png --height 1690
	$(PYTHON) serve.py --model runs/serving/next-movie-default-sample --port $(PICTURE_PORT) & trap "kill $$!" EXIT; \
	for try in $$(seq 60); do curl -sf http://127.0.0.1:$(PICTURE_PORT)/healthz && break || sleep 1; done; \
	$(PYTHON) -m tools.pictures "http://127.0.0.1:$(PICTURE_PORT)/#id=8&id=2&id=35" docs/images/demo.png --height 830

lock: $(INSTALLED_DEV) ## compile requirements*.in into the pinned requirements*.txt of both lanes
	$(COMPILE) requirements.in -c constraints-tfx116.txt -o requirements.txt --python-version 3.10
	$(COMPILE) requirements.in -c constraints-tfx121.txt -o requirements-tfx121.txt --python-version 3.11 --universal
	$(COMPILE) requirements-dev.in -c requirements.txt -o requirements-dev.txt --python-version 3.10
	$(COMPILE) requirements-dev.in -c requirements-tfx121.txt -o requirements-dev-tfx121.txt --python-version 3.11 --universal

say-lane:
	@tools/choose_lane.sh --why $(LANE)

clean: ## remove the environment and the tools; runs/ stays
	rm -rf .venv .tools

$(INSTALLED): $(LOCK) tools/environment.sh
	@tools/environment.sh $(THIS_LANE) $(LOCK)
	@touch $@

$(INSTALLED_DEV): $(LOCK) $(DEV_LOCK) tools/environment.sh
	@tools/environment.sh $(THIS_LANE) $(LOCK) $(DEV_LOCK)
	@touch $(INSTALLED) $@
