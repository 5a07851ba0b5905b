# What finishes a kit on a machine with the right GPU: classic TensorRT, and no PyTorch.
#
#   docker build --file containers/convert.Dockerfile --tag hrm-trt-convert .
#   docker run --rm --gpus all --user "$(id -u):$(id -g)" --volume "$PWD:/work" hrm-trt-convert build sudoku.kit
#
# TensorRT 11.1.0.106, CUDA 13 and Python 3.12. A plan loads in the TensorRT that built it and in no other: that is
# tritonserver:26.07-py3's as well. Both tags are to be moved together.
FROM nvcr.io/nvidia/tensorrt:26.07-py3

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib
RUN python3 -c "import tensorrt; assert tensorrt.__version__ == '11.1.0.106', tensorrt.__version__"

# The image's own packages stay visible: its TensorRT is the one that is wanted.
RUN python3 -m venv --system-site-packages /opt/hrm-trt
COPY pyproject.toml constraints.txt README.md LICENSE /src/
COPY hrm /src/hrm
COPY export /src/export
COPY engines /src/engines
COPY validation /src/validation
COPY triton_models /src/triton_models
COPY hrm_trt /src/hrm_trt
COPY checkpoints /src/checkpoints
COPY recipes /src/recipes
RUN /opt/hrm-trt/bin/pip install --constraint /src/constraints.txt /src onnx cuda-bindings \
    && ! /opt/hrm-trt/bin/python -c "import torch" 2>/dev/null \
    && /opt/hrm-trt/bin/hrm-trt --version \
    && rm -rf /src

WORKDIR /work
ENTRYPOINT ["/opt/hrm-trt/bin/hrm-trt"]
CMD ["doctor"]
