# SPDX-License-Identifier: AGPL-3.0-or-later
# Every target works on a fresh clone: it makes .venv itself, out of a plain python3 (3.11 to 3.13).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := pyproject.toml hatch_build.py $(shell find protos -name '*.proto')
# The models' libraries are large (some 6 GB): `make test EXTRAS=dev` leaves them out, and their tests skip and say so.
EXTRAS ?= dev,models

.PHONY: demo test test-all check blender extension bench bench-recognise serve clean

demo: $(VENV)/base
	$(BIN)/immersivaudio demo --out demo

test: $(VENV)/dev check blender
	$(BIN)/python -m pytest -m "not slow"

test-all: $(VENV)/dev check blender
	$(BIN)/python -m pytest

check: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p immersivaudio.engine -p immersivaudio.cli -p immersivaudio.bridge
	$(BIN)/buf lint protos
	sh protos/breaking.sh $(BIN)/buf

bench: $(VENV)/bench
	$(BIN)/python bench/run.py

bench-recognise: $(VENV)/bench
	$(BIN)/python bench/recognise.py

# The extension's zip in dist/, and the index that makes dist/ a repository which Blender can install from.
extension: $(VENV)/bin/python
	$(BIN)/python editor_scripts/blender/build.py dist

serve: $(VENV)/base
	$(BIN)/immersivaudio serve

clean:
	rm -rf $(VENV) $(VENV)-bpy* build demo

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/base: $(VENV)/bin/python $(SOURCES)
	$(PIP) install --constraint constraints.txt --editable .
	touch $@

$(VENV)/dev: $(VENV)/bin/python $(SOURCES)
	$(PIP) install --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@ $(VENV)/base

$(VENV)/bench: $(VENV)/dev
	$(PIP) install --constraint constraints.txt --editable '.[bench]'
	touch $@

# Blender as a Python module, one interpreter a version; where an interpreter is missing its tests skip and say so.
blender: $(VENV)-bpy42/ready $(VENV)-bpy45/ready $(VENV)-bpy50/ready $(VENV)-bpy52/ready

$(VENV)-bpy42/ready:
	@$(call bpy,3.11,4.2.*)

$(VENV)-bpy45/ready:
	@$(call bpy,3.11,4.5.*)

$(VENV)-bpy50/ready:
	@$(call bpy,3.11,5.0.*)

$(VENV)-bpy52/ready:
	@$(call bpy,3.13,5.2.*)

# An interpreter on the path, or one that pyenv keeps.
define bpy
for python in python$(1) $(wildcard $(HOME)/.pyenv/versions/$(1).*/bin/python$(1)); do \
  if $$python -c '' 2>/dev/null; then \
    $$python -m venv $(@D) && $(@D)/bin/python -m pip --disable-pip-version-check --quiet install 'bpy==$(2)' \
      && touch $@ && exit 0; \
    echo "bpy $(2) could not be installed: its tests will skip"; exit 0; \
  fi; \
done; echo "no Python $(1) here: the tests in Blender $(2) will skip"
endef
