# Everything runs from here: `make inspect` and `make test` do all the set-up that they need.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

.PHONY: help setup setup-dev setup-pdf setup-lab setup-test inspect test test-long test-unit lint lint-python lint-ansible lab lab-down bench lock schema

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(VENV)/.ready  ## the environment that runbooks need, in .venv

setup-dev: $(VENV)/.ready-dev  ## the same with the tools of development

$(VENV)/.ready: requirements.lock .config/setup.sh
	@bash .config/setup.sh requirements.lock
	@touch $@

$(VENV)/.ready-dev: requirements-dev.lock .config/setup.sh
	@bash .config/setup.sh requirements-dev.lock
	@touch $@ $(VENV)/.ready

setup-pdf:  ## LibreOffice and the Chinese fonts, for PDF (root, apt)
	@bash .config/setup-system.sh pdf

setup-lab:  ## what the rehearsal hospital needs (root, apt)
	@bash .config/setup-system.sh lab

inspect: setup  ## inspect this machine; leaves a signed record and a report
	@./runner.py run inspect --site self

lint: setup-dev  ## every style check; zero warnings
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint-ansible lint-python  # each has one core alone

lint-python: setup-dev
	ruff check . && ruff format --check .
	mypy --strict maintenance runner.py

lint-ansible: setup-dev
	yamllint --strict .
	ansible-lint --offline --strict -c .config/ansible-lint.yml

setup-test:
	@bash .config/setup-system.sh test

test-unit: setup-dev setup-test setup-pdf  ## the fast tests alone
	pytest -q tests/unit

test: setup-dev setup-test setup-pdf setup-lab lint  ## everything that is tested
	bash .config/test.sh

test-long: setup-dev setup-test setup-lab  ## faults of a rebuild, and the return: what `make test` has no room for
	bash .config/test-long.sh

lab: setup setup-lab  ## start the rehearsal hospital and leave it up
	$(BIN)/python -m lab up
	$(BIN)/python -m lab.witness

lab-down:  ## stop and remove the rehearsal hospital
	$(BIN)/python -m lab down

bench: setup-dev setup-lab  ## ratios against the named incumbents
	$(BIN)/python -m bench

schema: setup  ## publish the record's schema again
	@$(BIN)/python -c "import json; from maintenance.record import Record; print(json.dumps(Record.model_json_schema(), ensure_ascii=False, indent=2, sort_keys=True))" > docs/record.schema.json

lock: setup-dev  ## make both locks again from pyproject.toml
	uv pip compile -q --upgrade --generate-hashes --no-header pyproject.toml -o requirements.lock
	uv pip compile -q --upgrade --generate-hashes --no-header --group dev pyproject.toml -o requirements-dev.lock
