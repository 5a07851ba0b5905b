"""Verdicts as JUnit XML, for a CI server: one suite, one case for every bundle and policy.

A fail is a ``failure``. An inconclusive verdict is an ``error`` of type ``inconclusive``: nothing was proven, and a
server that reads either element turns red, as it should for exit code 5 as well as for 6. The numbers are properties
of the case, in the dialect that pytest writes (xunit2).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hrm.files import write_bytes
from validation.flips import replay_command

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from junitparser import TestCase

    from validation.verdict import Verdict

SUITE = "hrm-trt gate"
_NUMBERS = (
    "baseline_exact", "engine_exact", "flips_lost", "flips_won", "n", "clusters", "design_effect", "loss",
    "lower_bound", "upper_bound", "tolerance", "unit", "confidence", "mcnemar_p",
)  # fmt: skip


@dataclass(frozen=True)
class GateCase:
    """One gate, as a CI server sees it."""

    bundle: str
    policy: str
    verdict: Verdict
    seconds: float
    """What the evaluation took."""


def junit_xml(cases: Iterable[GateCase]) -> bytes:
    """The verdicts as a JUnit XML document."""
    from junitparser import JUnitXml, TestSuite

    suite = TestSuite(SUITE)
    for case in cases:
        suite.add_testcase(_testcase(case))
    document = JUnitXml()
    document.add_testsuite(suite)
    document.update_statistics()
    written = io.BytesIO()
    document.write(written, pretty=True)
    return written.getvalue()


def write_junit(path: Path, cases: Iterable[GateCase]) -> None:
    """Write ``junit_xml`` to ``path`` in one step.

    Raises:
        StorageError: the disk is full or failing.
        UnwritableError: the place cannot be written.
    """
    write_bytes(path, junit_xml(cases))


def _testcase(case: GateCase) -> TestCase:
    from junitparser import Error, Failure, Properties, Property, TestCase

    element = TestCase(case.policy, classname=case.bundle, time=round(case.seconds, 3))
    properties = Properties()
    for name in _NUMBERS:
        properties.add_property(Property(name, str(getattr(case.verdict, name))))
    element.append(properties)
    if case.verdict.verdict != "pass":
        result = (Failure if case.verdict.verdict == "fail" else Error)(case.verdict.reason, case.verdict.verdict)
        result.text = _flips(case)
        element.result = result
    return element


def _flips(case: GateCase) -> str:
    """The flipped puzzles by number, and how to see one."""
    lost, won = case.verdict.lost, case.verdict.won
    lines = [f"{kind}: {', '.join(map(str, some))}" for kind, some in (("lost", lost), ("won", won)) if some]
    lines += [f"replay one: {replay_command(case.bundle, example, case.policy)}" for example in (*lost, *won)[:1]]
    return "\n".join(lines)
