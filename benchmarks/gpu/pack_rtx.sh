#!/bin/sh
# Collect what rtx_hopper.py needs on a GPU machine without a network: TensorRT-RTX for that machine's Python in two
# parts, each small enough to be carried, and the graphs and plans that it tries.
#   PYTHONPATH=. sh benchmarks/gpu/pack_rtx.sh DIRECTORY [PYTHON_VERSION]                        here
#   mkdir SITE && cat DIRECTORY/1/rtx.* DIRECTORY/2/rtx.* | xz --decompress | tar --extract --directory SITE      there
# The graphs come from the environment that `python` is: hrm-trt with PyTorch, ONNX and TensorRT-RTX.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$1/1" "$1/2"
python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$scratch/wheels" \
  --python-version "${2:-3.12}" --implementation cp --platform manylinux_2_28_x86_64 \
  tensorrt-rtx-cu13-bindings==1.7.1.116 tensorrt-rtx-cu13-libs==1.7.1.116
for wheel in "$scratch"/wheels/*.whl; do
  python3 -m zipfile -e "$wheel" "$scratch/site"
done
tar --create --directory "$scratch/site" . | xz -6 --threads=2 > "$scratch/rtx.tar.xz"
split --bytes=40MiB --suffix-length=1 "$scratch/rtx.tar.xz" "$scratch/rtx."
mv "$scratch/rtx.a" "$1/1/"
mv "$scratch/rtx.b" "$1/2/"
python "$here/rtx_graphs.py" "$1/2/graphs"
du -h "$1/1" "$1/2" "$1/2/graphs"
