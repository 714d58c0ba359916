# Few targets, the same for people and for CI. `make demo` and `make test` need Python 3.11+, make and git.
# `make demo` installs no torch; `make test` does, and saves gigabytes on a machine without a GPU with
#   make test PIP_FLAGS='--extra-index-url https://download.pytorch.org/whl/cpu'
PYTHON ?= python3
VENV ?= .venv
PIP_FLAGS ?=
EXTRAS ?= train,serve,cpu,tensorrt-rtx,scale,synth,docs,dev
BIN := $(VENV)/bin

.PHONY: help install demo demo-model test test-slow test-soak coverage check format docs diagrams gpu-check constraints release clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

install: $(VENV)/.installed  ## the environment in .venv, with the exact versions of constraints.txt

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) deploy/environment.py $(VENV) $(EXTRAS) $(PIP_FLAGS)
	@touch $@ $(VENV)/.demo

# The demo needs a tenth of it: the service, ONNX Runtime, FAISS, and scikit-image for the HOG baseline.
$(VENV)/.demo: pyproject.toml constraints.txt
	@$(PYTHON) deploy/environment.py $(VENV) demo $(PIP_FLAGS)
	@touch $@

$(VENV)/.browser: $(VENV)/.installed
	@$(BIN)/python -m deploy.browser
	@touch $@

demo: $(VENV)/.demo  ## the shipped model on the demo ears: its figures, a gallery, and the service on 127.0.0.1
	$(BIN)/ear-teacher demo

test: install $(VENV)/.browser  ## the tests, under 10 minutes on 2 cores; what a missing tool skips is said
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: install  ## the slow tests: README's commands from a fresh clone, full-size models
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'slow and not gpu' -n 2 --dist loadfile --no-loadscope-reorder --timeout 1800 --durations 15

test-soak: install  ## longer still: a hundred kills of a gallery, a promotion under sixteen clients
	$(BIN)/python -m pytest -m soak

coverage: install  ## lines of bundle, index and serve that their fast tests run; under 90 % fails
	$(BIN)/python -m coverage run -m pytest tests/bundle tests/index tests/serve
	$(BIN)/python -m coverage report

check: install  ## lint, format, types and import rules, under a minute
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: install  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The model that the demo starts from, with an affine embedding; the aligned one that is shipped comes on top by the commands
# of docs/research.md. EARS: a folder with train_teacher.npy, val_teacher.npy, metadata.csv and scenes.csv.
EARS ?= demo/ears
EPOCHS ?= 8
demo-model: install  ## train the shipped model and its detector anew on 2 CPU cores (an hour) into demo/bundle
	$(BIN)/ear-teacher train --preset tiny --picture-basis cosines --picture-rank 960 --random-init \
	  --data $(EARS)/train_teacher.npy --val $(EARS)/val_teacher.npy \
	  --out runs/demo-model --epochs $(EPOCHS) --batch-size 32 --views 1 --decode-every 4 \
	  --optimizer muon --lr 2e-3 --perceptual-weight 0 --landmark-weight 1 --keypoint-weight 1 --coarse-weight 1 \
	  --identity subject --identity-head fitted --num-workers 0
	$(BIN)/ear-teacher evaluate runs/demo-model/model.ckpt --data $(EARS)/metadata.csv --out runs/demo-model/report
	$(BIN)/ear-teacher export runs/demo-model/model.ckpt --out demo/bundle --force --precision fp32 --half-weights \
	  --crops $(EARS)/val_teacher.npy
	$(BIN)/ear-teacher detector train --teacher runs/demo-model/model.ckpt --data $(EARS)/metadata.csv $(EARS)/scenes.csv \
	  --max-steps 1500 --out runs/demo-detector
	$(BIN)/ear-teacher detector evaluate runs/demo-detector/detector.ckpt --data $(EARS)/metadata.csv $(EARS)/scenes.csv \
	  --out runs/demo-detector/report
	$(BIN)/ear-teacher detector export runs/demo-detector/detector.ckpt --bundle demo/bundle --half-weights \
	  --data $(EARS)/scenes.csv $(EARS)/metadata.csv

docs: install  ## the documentation site in site/; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

diagrams: install  ## draw the mermaid diagrams of the docs anew (needs npm and Chromium)
	$(BIN)/python deploy/diagrams.py

gpu-check: install  ## everything that only a GPU can tell, in one command: a Markdown table, under 8 minutes
	$(BIN)/python -m bench.gpu_check

constraints: install  ## write the versions of this environment into constraints.txt
	$(BIN)/python -m pip freeze --exclude-editable | sed -E 's/\+[a-z0-9.]+$$//' > constraints.txt

release: install  ## commit and tag a release: make release VERSION=0.2.0
	$(BIN)/python deploy/release.py '$(VERSION)'

clean:  ## remove the environment and what runs left behind
	rm -rf $(VENV) runs site *.egg-info
