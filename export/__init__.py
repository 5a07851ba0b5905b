"""Floor 2: from the PyTorch network to ONNX graphs: four modules, graph passes, parity."""
