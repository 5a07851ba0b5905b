"""The error for what only a fault of hrm-trt, or of a version that it was never tried with, can bring about."""

from __future__ import annotations

from hrm.errors import ExportError


def fault(what: str, why: str) -> ExportError:
    """An ``ExportError`` that no other input of the user's avoids."""
    return ExportError(
        what,
        why=why,
        hint="compare the versions that `hrm-trt doctor` shows with those of hrm-trt[cpu]; if they are the same, "
        "report this with the checkpoint's all_config.yaml",
    )
