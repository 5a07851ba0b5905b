"""ARC-AGI tasks in the official layout, with augmented copies and a puzzle identifier for each."""
