"""Floor 6: the command line and the pipeline behind it."""

__version__ = "0.1.0"
