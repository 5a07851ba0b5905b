"""The orchestrator: a Python-backend model that takes puzzles through segments, many at once, each to its own depth.

Triton runs a copy of this package, with ``engines.act``, ``engines.slots`` and ``engines.stepper``, in an environment
that has the standard library, numpy and Triton's ``triton_python_backend_utils``, and nothing else of ours.
"""
