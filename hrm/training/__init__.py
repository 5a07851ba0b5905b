"""Training: the paper's recipe as small parts, from a batch of puzzles to a run that survives a kill."""
