"""Graph passes towards ONNX Runtime's kernels for CPUs: its own operators where the exporter writes many of ONNX's."""
