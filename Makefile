# Each target sets up what it needs in .venv, from the hashed locks in envs/, and then does its job.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
# JAX and PyTorch, installed over the packages of $(VENV), which stay as locked
BACKENDS := .venv-backends
# Further arguments of snakemake or pytest: make run ARGS='--configfile presets/x.yaml'
ARGS ?=
# Tests side by side, each with about 2 GB; 0: one after the other, in this process
JOBS ?= 2
# A folder, archive or kaggle:owner/name to run by itself: make run DATA=~/photos
DATA ?=
# Single settings beside it: make run DATA=~/photos CONFIG='recipe=both budget=good'
CONFIG ?=
# Folder that holds cifar10.zip and cats_dogs.zip, for the benchmarks
BENCH_DATA ?= benchmarks/data

# The first interpreter that really starts (pyenv leaves names that do not) and that TensorFlow has a build for.
CANDIDATES := $(if $(PYTHON),$(PYTHON),python3.12 python3.13 python3.11 python3)
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
find_python = $$(for p in $(CANDIDATES); do if "$$p" -c '$(FITS)' 2>/dev/null; then echo "$$p"; break; fi; done)

.PHONY: help
help: ## this list
	@echo "Darkroom: labelled images in, trained classifiers and a report out."
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

$(VENV)/bin/python:
	@py=$(find_python); \
	if [ -z "$$py" ]; then \
	  echo "Darkroom needs Python 3.11, 3.12 or 3.13 (tried: $(CANDIDATES)). Install one, or name it: make PYTHON=/path/to/python3.12 …" >&2; exit 1; fi; \
	if "$$py" -c 'import ensurepip' 2>/dev/null; then "$$py" -m venv $(VENV); \
	elif command -v uv >/dev/null; then uv venv --quiet --seed --python "$$py" $(VENV); \
	elif "$$py" -m virtualenv --version >/dev/null 2>&1; then "$$py" -m virtualenv --quiet $(VENV); \
	else echo "$$py has no venv module. Install it (apt install python3-venv), or uv, or virtualenv, and try again." >&2; exit 1; fi

# Quiet twice: errors alone, and no warning of a package index.
# --no-deps: a lock is whole, and where pip resolves, it takes a newer release that has no hash there.
# The stamps hold the lock they were made from, so a changed lock installs anew and a new checkout does not.
$(VENV)/.run: envs/run.lock | $(VENV)/bin/python
	@cmp -s $< $@ && touch $@ || { echo "Setting up: installing the locked packages (about 3 GB, once)"; \
	  $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --require-hashes --no-deps --prefer-binary -r $<; cp $< $@; }

$(VENV)/.dev: envs/dev.lock $(VENV)/.run
	@cmp -s $< $@ && touch $@ || { echo "Setting up: installing the locked packages of the tests"; \
	  $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --require-hashes --no-deps --prefer-binary -r $<; cp $< $@; }

.PHONY: setup
setup: $(VENV)/.run ## the environment alone (.venv)

.PHONY: run
run: $(VENV)/.run ## the whole chain to results/*/report.html (DATA=folder for your own images, ARGS=… for snakemake)
	@$(BIN)/python -m darkroom run $(ARGS) $(if $(DATA)$(CONFIG),--config $(if $(DATA),data='$(DATA)') $(CONFIG))

.PHONY: export
export: $(VENV)/.run ## the best model as a folder that predicts elsewhere, results/*/export (DATA=… as for run)
	@$(BIN)/python -m darkroom run export $(ARGS) $(if $(DATA)$(CONFIG),--config $(if $(DATA),data='$(DATA)') $(CONFIG))

.PHONY: app
app: $(VENV)/.run ## a web page that predicts pictures by what was trained (DATA=results/mydata, ARGS=… for serve)
	@$(BIN)/python -m darkroom serve $(or $(DATA),results) $(ARGS)

.PHONY: try-xray
try-xray: $(VENV)/.run ## the chest X-rays' preset on a small made-up stand-in of its data; `make app` serves it
	@$(BIN)/python -m tests.support.small_presets data/.stand-in
	@$(BIN)/python -m darkroom run --configfile presets/chest_xray.yaml data/.stand-in/small.yaml

.PHONY: doctor
doctor: $(VENV)/.run ## what will work here, and what to do about the rest (ARGS='--configfile mine.yaml')
	@$(BIN)/python -m darkroom doctor $(ARGS)

.PHONY: test
test: $(VENV)/.dev ## all tests, with coverage of darkroom/ (ARGS=… for pytest)
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup --no-loadscope-reorder $(ARGS)

# A virtual environment that sees the packages of $(VENV) behind its own.
where := import sysconfig; print(sysconfig.get_path("purelib"))
beside = $(BIN)/python -m venv --without-pip $(1); \
	  $(BIN)/python -c '$(where)' > "$$($(1)/bin/python -c '$(where)')/darkroom.pth"

$(BACKENDS)/.done: envs/backends.in $(VENV)/.dev
	@cmp -s $< $@ && touch $@ || { echo "Setting up: JAX and PyTorch beside $(VENV) (the latter with CUDA: a few GB, once)"; \
	  $(call beside,$(BACKENDS)); \
	  $(BIN)/python -m pip --python $(BACKENDS)/bin/python install --quiet --quiet --disable-pip-version-check -r $<; cp $< $@; }

.PHONY: test-backends
test-backends: $(BACKENDS)/.done ## the same networks on TensorFlow, JAX and PyTorch (installs the latter: PyPI's has CUDA, a few GB)
	@$(BACKENDS)/bin/python -m pytest --no-cov tests/backends $(ARGS)

# Snakemake with the plugins of a cluster, beside $(VENV): each start of it imports what is installed.
.venv-%/.done: envs/%.lock $(VENV)/.run
	@cmp -s $< $@ && touch $@ || { echo "Setting up: packages of $< in .venv-$*, beside $(VENV)"; \
	  $(call beside,.venv-$*); \
	  $(BIN)/python -m pip --python .venv-$*/bin/python install --quiet --quiet --disable-pip-version-check --require-hashes --no-deps --prefer-binary -r $<; \
	  printf '#!%s\nfrom snakemake.cli import main\nmain()\n' '$(CURDIR)/.venv-$*/bin/python' > .venv-$*/bin/snakemake; \
	  chmod +x .venv-$*/bin/snakemake; cp $< $@; }

.PHONY: cluster
cluster: .venv-cluster/.done ## Snakemake for Slurm, PBS, LSF, SGE: .venv-cluster/bin/snakemake (docs/cluster.md)

.PHONY: kubernetes
kubernetes: .venv-kubernetes/.done ## Snakemake for Kubernetes with S3: .venv-kubernetes/bin/snakemake

.PHONY: kubernetes-test
kubernetes-test: .venv-kubernetes/.done .venv-pods/.done $(VENV)/.dev ## the workflow in pods of a stand-in cluster, with S3 on loopback
	@.venv-pods/bin/python -m pytest --no-cov tests/kubernetes $(ARGS)

.PHONY: app-test
app-test: $(VENV)/.dev ## the web application, in Chromium too where there is one
	@$(BIN)/python -m pytest --no-cov tests/unit/serve $(ARGS)

.PHONY: slurm-test
slurm-test: .venv-cluster/.done $(VENV)/.dev ## the workflow on a real Slurm of one node (installs Debian's packages: root or sudo)
	@.venv-cluster/bin/python -m tests.slurm.cluster install
	@.venv-cluster/bin/python -m pytest --no-cov tests/slurm $(ARGS)

.PHONY: lint
lint: $(VENV)/.dev ## ruff, mypy, import-linter, snakefmt, snakemake --lint
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --no-logo
	@$(BIN)/snakefmt --check Snakefile rules workflow
	@$(BIN)/snakemake --lint

.PHONY: bench
bench: $(VENV)/.dev ## every benchmark beside its peer (BENCH_DATA=folder with cifar10.zip and cats_dogs.zip)
	@for f in cifar10.zip cats_dogs.zip; do test -f '$(BENCH_DATA)'/$$f || { \
	  echo "$(BENCH_DATA)/$$f is not there: name the folder that holds it: make bench BENCH_DATA=FOLDER" >&2; exit 1; }; done
	@for b in prepare input training inference classifiers startup listing; do $(BIN)/python -m benchmarks.$$b --data '$(BENCH_DATA)'; done

.PHONY: lock
lock: ## renew envs/*.lock, envs/*.yaml and schemas/ from their sources (needs uv)
	@for f in run dev cluster kubernetes pods serve; do uv pip compile --universal --fork-strategy fewest --python-version 3.11 --generate-hashes \
	  --no-annotate --custom-compile-command 'make lock' --quiet $$(test ! -f envs/$$f.override || echo --override envs/$$f.override) \
	  envs/$$f.in -o envs/$$f.lock; done
	@$(MAKE) --no-print-directory generated

.PHONY: generated
generated: $(VENV)/.dev ## rewrite envs/*.yaml and schemas/ from the lock and the settings
	@$(BIN)/python -m darkroom.workflow.generated
