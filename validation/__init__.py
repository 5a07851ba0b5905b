"""Floor 4: what an engine is worth: accuracy, statistics, the gate and its report."""
