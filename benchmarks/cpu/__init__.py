"""HRM on a CPU, every runtime beside PyTorch: see `__main__`."""
