#!/bin/sh
# Collect as wheels what a GPU machine without a network needs beside PyTorch, NumPy, SciPy, matplotlib, TensorBoard,
# psutil, PyYAML, filelock, regex, requests, rich, tqdm, typer, safetensors, ONNX and ONNX Runtime:
#   sh benchmarks/gpu/pack.sh DIRECTORY [PYTHON_VERSION]     here, where there is a network
#   pip install --no-index --no-deps DIRECTORY/*.whl         there
set -eu
root=$(dirname "$0")/../..
python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$1" \
  --python-version "${2:-3.12}" --implementation cp \
  --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
  --constraint "$root/constraints.txt" \
  adam-atan2-pytorch einops annotated-types pydantic pydantic-core typing-extensions typing-inspection python-sat six \
  nvidia-modelopt==0.47.0 omegaconf pulp==3.3.2
du -ch "$1"/*.whl | sed "s|$1/||"
