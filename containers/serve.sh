#!/bin/sh
# The serving image's first process: tritonserver, and a stop that loses no request.
#
# On SIGTERM (docker stop, the end of a pod) the solvers take no more requests and answer those that they have; only
# then does the server get its SIGTERM, which would fail what is at work. Further options of tritonserver may follow.
#
#   MODEL_REPOSITORY   a directory, or a URL in Triton's spelling (s3://bucket/models, s3://http://host:port/bucket/models)
#   DRAIN_SECONDS      how long requests may take to be answered before the server is stopped
#   HTTP_PORT          of Triton's HTTP service
set -u

repository="${MODEL_REPOSITORY:-/models}"
seconds="${DRAIN_SECONDS:-60}"
port="${HTTP_PORT:-8000}"
hrm_trt="${HRM_TRT:-hrm-trt}"

server=""

stop() {
    trap '' TERM INT
    [ -n "$server" ] || exit 143
    "$hrm_trt" drain "http://127.0.0.1:$port" --timeout "$seconds"
    kill -TERM "$server" 2>/dev/null
}
trap stop TERM INT

# Every model is loaded before the server says that it is ready. One that cannot be loaded keeps no other from being
# served: the health check, which asks the solvers for answers, says what is wrong.
"${TRITONSERVER:-tritonserver}" \
    --model-repository="$repository" \
    --model-control-mode=explicit \
    --load-model='*' \
    --exit-on-error=false \
    --strict-readiness=false \
    --disable-auto-complete-config \
    --exit-timeout-secs="$((seconds + 30))" \
    --http-port="$port" \
    --log-format=ISO8601 \
    "$@" &
server=$!

# A signal ends `wait` early, with a code of its own; the server's is what counts.
wait "$server"
code=$?
while kill -0 "$server" 2>/dev/null; do
    wait "$server"
    code=$?
done
exit "$code"
