# Needs python3 (3.11 or newer, with venv), make and git. Everything else goes into .venv/.
PYTHON ?= python3
IMAGE ?= drive-upload
PY := .venv/bin/python
INSTALL := $(PY) -m pip --disable-pip-version-check -qq install --no-deps --require-hashes --only-binary :all:
COMPILE := .venv/bin/uv pip compile pyproject.toml -q --universal --generate-hashes --no-emit-index-url --custom-compile-command 'make lock'

.PHONY: help demo test check image lock bench chaos hostile peers slow clean

help:  ## this list
	@awk -F ':.*##' '/^[a-z]+:.*##/ {printf "make %-7s%s\n", $$1, $$2}' Makefile

demo: .venv/requirements.installed  ## a whole upload, offline: embedded Drive, function, sample files
	@$(PY) -m local_runner demo

test: check  ## everything
	$(PY) -m pytest -n auto

check: .venv/requirements-dev.installed  ## format, lint, types, Dockerfile, cloudbuild.yaml, compose.yaml
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/hadolint Dockerfile
	.venv/bin/check-jsonschema --builtin-schema vendor.cloudbuild cloudbuild.yaml
	.venv/bin/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml

image:  ## the container image
	docker build --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null) --tag $(IMAGE) .

bench: .venv/requirements-dev.installed  ## side-by-side figures against peers
	$(PY) -m tests.bench

chaos: .venv/requirements-dev.installed  ## the long campaign of faults, kills and races: SEED=1 SCHEDULES=10000
	$(PY) -m pytest -m chaos -n 0 -s --timeout 0
	$(PY) -m tests.crash.races
	$(PY) -m tests.chaos $(if $(SCHEDULES),--schedules $(SCHEDULES)) $(if $(SEED),--seed $(SEED))

hostile: .venv/requirements-dev.installed  ## an afternoon of odd requests, damaged files and odd answers: SEED=1
	$(PY) -m tests.hostile $(if $(SEED),--seed $(SEED))

peers: .venv/requirements-dev.installed  ## the same faults for other uploaders, as a table; WRITE=--write puts it into docs/
	$(PY) -m tests.peers_under_faults $(WRITE)

slow: .venv/requirements-dev.installed  ## real input: a file of 2 GB, Python's whole library
	$(PY) -m pytest -m slow -n 0 -s

lock: .venv/requirements-dev.installed  ## the lock files anew; UPGRADE=--upgrade takes newer releases
	$(COMPILE) $(UPGRADE) --all-extras --group dev -o requirements-dev.txt
	$(COMPILE) -c requirements-dev.txt --extra pydrive2 -o requirements.txt

clean:
	rm -rf .venv .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/%.installed: %.txt | .venv/bin/python .venv/bin/pip
	@echo 'Installing $< into .venv/ ...'
	@$(INSTALL) -r $<
	@touch $@

.venv/bin/python .venv/bin/pip:
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or newer is needed and this is {v}: name another one, as in make PYTHON=python3.13 demo")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo '$(PYTHON) has no venv: install it, on Debian and Ubuntu with: apt-get install python3-venv'; exit 1; }
	@$(PYTHON) -m venv .venv
