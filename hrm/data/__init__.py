"""Data sets in the official layout, the tasks that they hold, and pictures of puzzles and answers."""
