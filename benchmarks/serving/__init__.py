"""What in-flight batching brings on a real tritonserver; run as ``python -m benchmarks.serving``."""
