"""Checkpoints: found, read, checked and written.

This package's own names need no torch. What opens tensors is imported from its module:
``hrm.checkpoint.loading`` (``Checkpoint``, ``load``, ``network``) and ``hrm.checkpoint.native`` (``save``).
"""

from hrm.checkpoint.located import Located, locate

__all__ = ["Located", "locate"]
