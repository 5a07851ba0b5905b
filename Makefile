# Two commands: `make demo` and `make test`. Each sets up what it needs in .venv, and nothing outside the clone.
# To take PyTorch's CPU build where pip would choose the CUDA one: make demo PIP_ARGS="--extra-index-url <PyTorch's CPU index>"
PYTHON ?= python3
PIP_ARGS ?=
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet $(PIP_ARGS)
SERVER := .venv/triton-server

.PHONY: demo test test-gpu check format clean
.DEFAULT_GOAL := demo

demo: .venv/ready-cpu
	@$(BIN)/hrm-trt build

test: .venv/ready-dev $(SERVER)/ready
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

test-gpu: .venv/ready-dev
	@$(BIN)/python -m pytest tests/gpu

check: .venv/ready-dev
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: .venv/ready-dev
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

clean:
	rm -rf .venv .hrm-trt

.venv/bin/python:
	@echo "setting up .venv (once)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hrm-trt needs Python 3.11 or newer; set PYTHON=")'
	@$(PYTHON) -m venv .venv

.venv/ready-cpu: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing hrm-trt with PyTorch, ONNX and ONNX Runtime (once)"
	@$(INSTALL) --constraint constraints.txt --editable '.[cpu]'
	@touch $@

.venv/ready-dev: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing what tests and checks need (once)"
	@$(INSTALL) --constraint constraints.txt --editable '.[dev]'
	@$(INSTALL) --constraint constraints.txt --no-deps tensorrt-stubs  # without TensorRT itself, which it would bring
	@touch $@ .venv/ready-cpu

# The real tritonserver that tests start. Its Python models need NumPy 1, so it lives in an environment of its own.
$(SERVER)/ready: tests/triton_models/server-requirements.txt | .venv/bin/python
	@echo "installing tritonserver for the tests (once)"
	@$(PYTHON) -m venv $(SERVER)
	@$(SERVER)/bin/python -m pip install --quiet $(PIP_ARGS) --requirement $<
	@$(SERVER)/bin/python -m pip install --quiet $(PIP_ARGS) --no-deps nvidia-pytriton==0.7.0
	@touch $@
