# make run     the demo: filters and CNN layers over a photograph, checked against SciPy and timed beside it
# make test    all tests, on several cores; with ARGS="-n 0 -x --pdb" on one
# make build | native-test [SANITIZE=thread] | neon | lint | format | docs | bench [ARGS=...] | clean
#
# Needs a C++17 compiler, make, and Python 3.11 or later with venv. Everything else goes into .venv, once: a stamp file
# there stands for each extra that is installed, and goes stale when pyproject.toml changes.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SANITIZE ?=
CXX ?= g++
ARGS ?=

SOURCES := $(shell find csrc -name '*.cpp' -o -name '*.h' -o -name '*.inc') $(wildcard convkern/*.pyx convkern/*.pxd convkern/*.pxi)

.PHONY: run test build native-test neon lint format docs bench clean

run: $(VENV)/has-demo build
	$(BIN)/python -m convkern demo $(ARGS)

test: $(VENV)/has-test build
	$(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal $(ARGS)

bench: $(VENV)/has-bench build
	$(BIN)/python -m bench $(ARGS)

docs: $(VENV)/has-docs build
	$(BIN)/sphinx-build -W --keep-going -q -b html docs build/docs

lint: $(VENV)/has-dev build
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	find csrc tests/native -name '*.cpp' -o -name '*.h' | xargs $(BIN)/clang-format --dry-run -Werror
	$(BIN)/mypy

format: $(VENV)/has-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	find csrc tests/native -name '*.cpp' -o -name '*.h' | xargs $(BIN)/clang-format -i

# The extension, in place: rebuilt when a source of it changed.
build: build/extension.stamp

build/extension.stamp: $(SOURCES) setup.py $(VENV)/has-build-tools
	$(BIN)/python setup.py -q build_ext --inplace
	@touch $@

# A virtual environment with what the build needs, the list taken from pyproject.toml.
$(VENV)/has-build-tools: pyproject.toml
	@$(PYTHON) -c "import tomllib, ensurepip" || (echo "$(PYTHON) must be Python 3.11 or later, with venv"; exit 1)
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['build-system']['requires'], sep='\n')" > $@.txt
	$(BIN)/pip install -q -r $@.txt
	@touch $@

# The package itself, editable, with one of its extras: demo, test, bench, docs, dev.
$(VENV)/has-%: $(VENV)/has-build-tools pyproject.toml setup.py
	$(BIN)/pip install -q --no-build-isolation -e ".[$*]"
	@touch $@

# C++ tests of csrc/runtime.
NATIVE := build/native$(addprefix -,$(SANITIZE))
NATIVE_FLAGS := -std=c++17 -O2 -g -Wall -Wextra -pthread -Icsrc
NATIVE_FLAGS += $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer)
RUNTIME := $(wildcard csrc/runtime/*)
# Asking the arena for more than there is is a test, and the workers that live on at the exit are no leak.
NATIVE_OPTIONS := TSAN_OPTIONS=allocator_may_return_null=1 ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=0

native-test: $(NATIVE)/runtime_test $(NATIVE)/pool_test
	$(NATIVE_OPTIONS) $(NATIVE)/runtime_test
	$(NATIVE_OPTIONS) $(NATIVE)/pool_test

$(NATIVE)/%_test: tests/native/%_test.cpp tests/native/check.h tests/native/loops.h $(RUNTIME)
	@mkdir -p $(NATIVE)
	$(CXX) $(NATIVE_FLAGS) $< $(filter %.cpp,$(RUNTIME)) -o $@

# The aarch64 build under qemu: needs aarch64-linux-gnu-g++ and qemu-aarch64.
neon: $(VENV)/has-test build
	$(BIN)/python tests/native/neon.py

clean:
	rm -rf $(VENV) build dist *.egg-info convkern/*.so
