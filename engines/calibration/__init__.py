"""What quantisation has to know of a network, measured on real puzzles, and the quantised network in PyTorch."""
