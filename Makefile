# `make demo` and `make test` install all they need into .venv, build the package, and run. `make` lists the targets.

PYTHON ?= python3
TORCH ?= torch==2.13.0
GRU_EXT_CUDA ?=
ARGS ?=
export TORCH CXX
ifneq ($(GRU_EXT_CUDA),)
export GRU_EXT_CUDA
endif

define HELP
make demo       train a classifier with torch's GRU cell and with gru_ext's, side by side; writes demo/
make test       run the tests; ARGS="tests/test_values.py -x" is passed on to pytest
make test-slow  run the proofs that take minutes
make bench      measure against torch.nn.GRUCell; ARGS is passed on; with ARGS="--peers all" it installs all others
make gpu-check  test and measure the CUDA kernels where there is a GPU; needs torch, nvcc and no network
make cuda-build compile and link the CUDA kernels into build/cuda, to examine them where there is no GPU; needs nvcc
make lint       check style and formatting of Python and C++
make format     put it right
make clean      remove what was built (make distclean: .venv too)

Variables:
  PYTHON        the Python that .venv is made from, 3.10 or newer; now: $(PYTHON)
  TORCH         what to install as torch, with any options for pip; now: $(TORCH)
  GRU_EXT_CUDA  1 demands the CUDA kernels, 0 leaves them out; unset, they are built where torch and nvcc allow it
endef
export HELP

VENV := .venv
PY := $(VENV)/bin/python
DONE := $(VENV)/done
INSTALL = $(PY) tools/install.py -c constraints.txt
SOURCES := $(shell find csrc -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' | sort)
PYTHON_FOUND := $(shell "$(PYTHON)" -c 'import sys, sysconfig; print(sys.version.split()[0], sysconfig.get_path("include"))' 2>/dev/null)
COMPILER := $(shell "$(CXX)" --version 2>/dev/null | head -n 1) $(wildcard $(lastword $(PYTHON_FOUND))/Python.h)
NVCC := $(shell command -v nvcc 2>/dev/null)

.PHONY: help demo test test-slow bench cuda-build gpu-check lint format clean distclean FORCE
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@printf '%s\n' "$$HELP"

demo: $(DONE)/package $(DONE)/demo
	@$(PY) -m gru_ext.demo $(ARGS)

test: $(DONE)/package $(DONE)/dev
	@$(PY) -m pytest -q $(ARGS)

test-slow: $(DONE)/package $(DONE)/dev
	@$(PY) -m pytest -q -m slow $(ARGS)

bench: $(DONE)/package $(DONE)/$(if $(findstring --peers all,$(ARGS)),bench,demo)
	@$(PY) -m benchmarks $(ARGS)

cuda-build: $(DONE)/package
	@$(PY) tools/cuda_build.py

# For a machine without a network: with what PYTHON has, not with .venv.
gpu-check:
	@PYTHON="$(PYTHON)" bash tools/gpu_check.sh

CXX_FILES = find csrc benchmarks examples tests tools '(' -name '*.c' -o -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' ')' -print

lint: $(DONE)/dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(CXX_FILES) | xargs $(VENV)/bin/clang-format --dry-run --Werror

format: $(DONE)/dev
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .
	$(CXX_FILES) | xargs $(VENV)/bin/clang-format -i

clean:
	rm -rf build dist demo gru_ext/lib gru_ext/_C*.so gru_ext/build.json $(DONE)/package
	rm -rf .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)

# --- Set-up. $(DONE)/STEP is newer than all that STEP depends on; $(DONE)/STEP.for holds the values that it was done with.

$(DONE)/venv $(DONE)/venv.for: export VALUE = $(PYTHON) $(firstword $(PYTHON_FOUND)) in $(CURDIR)
$(DONE)/torch.for: export VALUE = $(TORCH)
$(DONE)/package.for: export VALUE = GRU_EXT_CUDA=$(GRU_EXT_CUDA) $(TORCH_CUDA_ARCH_LIST) $(CUDA_HOME) $(COMPILER) $(NVCC) $(SOURCES)
$(DONE)/%.for: FORCE
	@mkdir -p $(DONE)
	@printf '%s\n' "$$VALUE" | cmp -s - $@ || printf '%s\n' "$$VALUE" >$@

# A .venv made here before is made anew if another Python or place is asked for; one made by hand is used as it is.
$(DONE)/venv: $(DONE)/venv.for
	@sh tools/check_python.sh "$(PYTHON)"
	@if ! cmp -s $< $@; then \
	    echo "[1/4] making $(VENV)" && \
	    "$(PYTHON)" -m venv $$(test ! -e $@ || echo --clear) $(VENV) && mkdir -p $(DONE) && printf '%s\n' "$$VALUE" >$<; \
	fi
	@cp $< $@

# What it writes is a constraint for the later steps, so that no requirement of theirs can bring another torch.
$(DONE)/torch: $(DONE)/venv $(DONE)/torch.for
	@echo "[2/4] installing $$TORCH (some hundred MB for the CPU alone, several GB with CUDA)"
	@$(INSTALL) $$TORCH
	@$(PY) -c 'from importlib.metadata import version; print("torch==" + version("torch"))' >$@

$(DONE)/build: $(DONE)/torch constraints.txt pyproject.toml
	@echo "[3/4] installing what the build needs"
	@$(INSTALL) -c $(DONE)/torch $$($(PY) tools/extras.py build)
	@touch $@

$(DONE)/package: $(DONE)/build $(DONE)/package.for setup.py tools/compiler.py tools/cuda_toolkit.py tools/stream_library.py compile_flags.txt $(SOURCES)
	@echo "[4/4] building gru_ext (C++ that has not changed is not compiled again)"
	@$(PY) tools/install.py --no-build-isolation --no-deps -e .
	@touch $@

$(DONE)/demo $(DONE)/bench $(DONE)/dev: $(DONE)/build
	@echo "      installing what 'make $(if $(findstring dev,$(@F)),test,$(@F))' needs"
	@$(INSTALL) -c $(DONE)/torch $$($(PY) tools/extras.py $(@F))
	@touch $@
