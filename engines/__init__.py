"""Floor 3: from ONNX to something that runs: targets, runtimes, bundles and the ACT loop."""
