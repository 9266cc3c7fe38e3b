# `make` alone prints what there is. Every target works from a fresh clone.

VENV   ?= .venv
PYTHON ?= python3
# torch comes first, so that nothing pulls a build with gigabytes of GPU libraries. Where the index has no
# CPU build under this name:  make TORCH="torch --index-url https://download.pytorch.org/whl/cpu" ...
TORCH  ?= torch==2.13.0
# The Spark line that is developed on; the package itself takes 3.5 to 4.3.
SPARK  ?= pyspark==4.1.*
# Errors only: pip's warnings about indexes are the machine's business.
INSTALL = $(VENV)/bin/python -m pip --disable-pip-version-check install --quiet --quiet
# Options for every pytest run, for example  make test PYTEST="-x -k embed"
PYTEST ?=
# Test files that run side by side, each with a Spark of its own (2 GB of memory a process).
JOBS ?= 2
SMOKE_LINES ?= 3.5 4.3
# Verbs of the cluster test; empty: all.
VERBS ?=

export VENV JOBS

.DEFAULT_GOAL := help
.PHONY: help demo data run-demo install test check lint fast format smoke cluster-test package package-test clean

help: ## What can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

# Stamps: what was installed, newer than what it was installed from.
$(VENV)/.torch:
	@scripts/check_machine.sh $(PYTHON)
	@echo "making $(VENV): a few minutes the first time"
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) $(TORCH)
	@touch $@

$(VENV)/.demo: $(VENV)/.torch pyproject.toml
	$(INSTALL) '$(SPARK)' --editable '.[demo]'
	@touch $@

$(VENV)/.dev: $(VENV)/.torch pyproject.toml
	$(INSTALL) '$(SPARK)' --editable '.[dev]'
	@touch $@ $(VENV)/.demo

data/demo/drug_reviews.parquet: scripts/fetch_demo.py | $(VENV)/.demo
	@$(VENV)/bin/python scripts/fetch_demo.py --output $@
	@touch $@

demo: run-demo ## Install, fetch 979 drug reviews, run the whole pipeline on them

install: $(VENV)/.demo ## The package with what the demo needs, in .venv

data: data/demo/drug_reviews.parquet ## Fetch the demo's reviews

run-demo: install data ## The demo alone, once installed and fetched
	@scripts/check_machine.sh $(VENV)/bin/python
	@$(VENV)/bin/fusionspark run conf/demo.yaml

test: $(VENV)/.dev ## The whole test suite
	@scripts/check_machine.sh $(VENV)/bin/python
	$(VENV)/bin/python -m pytest -n $(JOBS) --dist loadfile $(PYTEST)

check: lint fast ## What to run before a commit: lint, types, layers and the fast tests

lint: $(VENV)/.dev ## ruff, mypy and the layer check
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python scripts/check_imports.py

fast: $(VENV)/.dev ## Tests that take seconds and need no files from outside
	$(VENV)/bin/python -m pytest -m "not slow and not data" -n $(JOBS) --dist loadfile $(PYTEST)

format: $(VENV)/.dev ## Put the code into shape
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

smoke: $(VENV)/.dev ## The smoke tests on the other Spark lines
	@for line in $(SMOKE_LINES); do scripts/smoke.sh $$line $(PYTEST) || exit; done

cluster-test: install data ## Every verb on a standalone cluster equals the same in local mode
	@scripts/cluster_test.sh $(VERBS)

package: install ## Wheel, environment and model as files for --archives, in dist/
	@PYTHON=$(VENV)/bin/python scripts/package.sh

package-test: package ## A cluster whose workers have no Python of their own runs from those files
	@scripts/package_test.sh

clean: ## Remove what was made, except the environment and the data
	@scripts/cluster.sh down
	rm -rf output build dist .cluster spark-warehouse metastore_db derby.log .pytest_cache .mypy_cache .ruff_cache
