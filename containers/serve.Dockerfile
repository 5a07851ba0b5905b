# Serves what `hrm-trt publish` has published.
#
#   docker build --file containers/serve.Dockerfile --tag hrm-trt-serve .
#   docker run --rm --gpus all --shm-size 1g --stop-timeout 180 --publish 8000-8002:8000-8002 \
#       --volume /srv/models:/models:ro hrm-trt-serve
#
# Read-only, for Triton's Python writes its byte code beside what it imports, whatever PYTHONDONTWRITEBYTECODE says.
# From S3: --env MODEL_REPOSITORY=s3://bucket/models --env AWS_ACCESS_KEY_ID --env AWS_SECRET_ACCESS_KEY
# --env AWS_DEFAULT_REGION in place of the volume. Plans built to be version-compatible also need the argument
# --backend-config=tensorrt,version-compatible=true. Without --gpus it serves sets of the target cpu.
#
# Ports 8000 and 8001 also load and unload models: let clients reach /v2/models/NAME/infer and generate alone. In
# Kubernetes the health check below is a readinessProbe (exec), and terminationGracePeriodSeconds is 180; there is
# nothing for a preStop to do.
#
# TensorRT 11.1.0.106 as in convert.Dockerfile: a plan loads in the TensorRT that built it and in no other. Both tags
# are to be moved together. Not built yet: where this was written there was no docker. serve.sh, the health check and
# the stop are tested on a real tritonserver without it.
FROM nvcr.io/nvidia/tritonserver:26.07-py3

RUN case "$TRT_VERSION" in 11.1.0.106*) ;; *) echo "TensorRT is $TRT_VERSION" >&2; exit 1 ;; esac

# The solver's Python is the image's own. CuPy keeps the carry on the GPU; 14 would bring NumPy 2, with which Triton
# answers empty tensors.
RUN pip3 install --no-cache-dir --break-system-packages "numpy<2" cupy-cuda13x==13.6.0 \
    && python3 -c "import numpy; assert numpy.__version__.startswith('1.'), numpy.__version__"

# hrm-trt for `probe`, `drain` and `repository load`, in an environment that Triton's Python models don't see.
RUN python3 -m virtualenv /opt/hrm-trt
COPY pyproject.toml constraints.txt README.md LICENSE /src/
COPY hrm /src/hrm
COPY export /src/export
COPY engines /src/engines
COPY validation /src/validation
COPY triton_models /src/triton_models
COPY hrm_trt /src/hrm_trt
COPY checkpoints /src/checkpoints
COPY recipes /src/recipes
RUN /opt/hrm-trt/bin/pip install --no-cache-dir --constraint /src/constraints.txt "/src[remote,triton]" \
    && /opt/hrm-trt/bin/hrm-trt --version \
    && rm -rf /src
COPY --chmod=755 containers/serve.sh /opt/hrm-trt/bin/serve.sh

ENV HRM_TRT=/opt/hrm-trt/bin/hrm-trt \
    HTTP_PORT=8000 \
    DRAIN_SECONDS=60 \
    MODEL_REPOSITORY=/models \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib
USER triton-server
EXPOSE 8000 8001 8002
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=30s --start-period=5m --retries=3 \
    CMD "$HRM_TRT" probe "http://127.0.0.1:$HTTP_PORT" --timeout 20
ENTRYPOINT ["/opt/nvidia/nvidia_entrypoint.sh", "/opt/hrm-trt/bin/serve.sh"]
