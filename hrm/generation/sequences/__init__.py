"""A user's own micro-task: rows of input and answer sequences, from CSV or JSON lines."""
