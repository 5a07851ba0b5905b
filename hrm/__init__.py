"""Floor 1: the Hierarchical Reasoning Model itself: network, checkpoints, data sets, training, metrics, errors."""
