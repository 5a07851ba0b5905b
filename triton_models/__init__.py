"""Floor 5: the Triton model repository: configurations, publishing and the checks before it."""
