# `make atlas` shows everything, `make test` checks everything; both start from a fresh clone.

PYTHON ?= python3
PIP_ARGS ?=
PYTEST_ARGS ?= -n 2 --dist worksteal
PORT ?= 8000
UV ?= $(shell command -v uv)

VENV := .venv
BIN := $(VENV)/bin
PARITY := .venv-parity
# The last TRL that has PPO, XPO, Nash-MD, BCO and process rewards all together.
OLD_TRL := 1.12.0
OLD := $(PARITY)/trl-$(OLD_TRL)

# The atlas's models are tiny: one thread is as fast as many, and much faster beside busy neighbours.
export OMP_NUM_THREADS ?= 1
export NO_MKDOCS_2_WARNING ?= 1

# uv is several times faster than pip but reads none of pip's settings, so PIP_ARGS means pip.
ifneq ($(and $(UV),$(if $(PIP_ARGS),,yes)),)
INSTALL = $(UV) pip install --python $(BIN)/python $(if $(PIP_FIND_LINKS),--find-links "$(PIP_FIND_LINKS)")
else
INSTALL = $(BIN)/python -m pip install $(PIP_ARGS)
endif

.PHONY: help setup atlas site serve test lint canaries parity clean
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@echo "make atlas    environment, catalogue check, DPO on the exact bed, site, served at http://127.0.0.1:$(PORT)"
	@echo "make test     environment, then every check there is"
	@echo "make site     as atlas, without serving"
	@echo "make setup    only the environment, in $(VENV)"
	@echo "make lint | canaries | parity    parts of make test"
	@echo "make clean    remove the environments and the built site"

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("RLHF Atlas needs Python 3.11 or newer: make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -c constraints.txt -e ".[run,site,dev]"
	@touch $@

site: setup
	$(BIN)/rlhf check
	$(BIN)/rlhf run dpo
	$(BIN)/rlhf build

atlas: site serve

serve: setup
	@echo
	@echo "RLHF Atlas is at http://127.0.0.1:$(PORT) (Ctrl-C stops it)"
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory site $(PORT) >/dev/null 2>&1 \
		|| { echo "Port $(PORT) is not free: make atlas PORT=8001"; exit 1; }

# The last line of output is pytest's summary. Contracts and mutants run within it, side by side with the rest.
test: lint canaries parity
	$(BIN)/python -m pytest --ignore=tests/parity $(PYTEST_ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/rlhf check

# The canaries of one seed of every committed run; `rlhf bench --canaries` does all five.
canaries: setup
	$(BIN)/rlhf bench --canaries --seeds 1

# TRL lives in an environment of its own, laid over the first, so that nothing else can come to need it. The old
# one is in a folder beside it, first on the path of a second run: no process can import both.
parity: $(PARITY)/.installed $(OLD)/.installed
	REQUIRE_PARITY=1 $(PARITY)/bin/python -m pytest tests/parity --ignore=tests/parity/dropped
	REQUIRE_PARITY=1 PYTHONPATH="$(CURDIR)/$(OLD)" $(PARITY)/bin/python -m pytest tests/parity/dropped

$(PARITY)/.installed: $(VENV)/.installed
	$(BIN)/python -m venv --without-pip $(PARITY)
	@$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
		> "$$($(PARITY)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/first.pth"
	$(PARITY)/bin/python -m pip install $(PIP_ARGS) -c constraints.txt -e ".[parity]"
	@touch $@

$(OLD)/.installed: $(PARITY)/.installed
	$(PARITY)/bin/python -m pip install $(PIP_ARGS) --no-deps --upgrade --target $(OLD) trl==$(OLD_TRL)
	@touch $@

clean:
	rm -rf $(VENV) $(PARITY) site build
