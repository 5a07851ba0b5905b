from __future__ import annotations

from typing import Any

import pytest

from engines.bundle import GateRecord
from hrm_trt.pipeline.result import BuildResult, EngineRow


def verdict(policy: str, outcome: str) -> GateRecord:
    return GateRecord.model_validate(
        {
            "bundle": "b",
            "engines": ("00",),
            "target": "cpu",
            "precision": "fp32",
            "policy": policy,
            "evidence": "on-target",
            "baseline_exact": 0.9,
            "engine_exact": 0.9,
            "flips_lost": 0,
            "flips_won": 0,
            "n": 500,
            "lower_bound": -0.01,
            "upper_bound": 0.01,
            "tolerance": 0.01,
            "unit": "points",
            "verdict": outcome,
            "reason": "",
            "mean_depth": 8.0,
        }
    )


EXIT_CODES: list[tuple[list[str], list[str], tuple[str, ...], int]] = [
    # engines' statuses, verdicts, policies asked for by name
    (["built", "cached"], ["fixed pass", "adaptive pass"], (), 0),
    (["built"], [], (), 0),
    ([], [], (), 0),
    (["failed"], [], (), 4),
    (["needs-target"], [], (), 3),
    (["built", "unsupported"], [], (), 3),
    (["built"], ["fixed fail"], (), 6),
    (["built"], ["fixed inconclusive"], (), 5),
    (["failed", "unsupported"], ["fixed fail", "fixed inconclusive"], (), 4),
    (["unsupported"], ["fixed fail", "fixed inconclusive"], (), 6),
    (["needs-target"], ["fixed pass", "fixed inconclusive"], (), 5),
    (["built"], ["fixed pass", "adaptive fail"], (), 0),
    (["built"], ["fixed pass", "adaptive fail"], ("fixed", "adaptive"), 6),
    (["built"], ["fixed pass", "adaptive inconclusive", "confidence fail"], ("adaptive",), 5),
    (["built"], ["fixed fail", "adaptive pass"], ("adaptive",), 6),
]


@pytest.mark.parametrize(("statuses", "verdicts", "asked", "code"), EXIT_CODES)
def test_the_exit_code_is_that_of_the_worst(
    statuses: list[Any], verdicts: list[str], asked: tuple[str, ...], code: int
) -> None:
    engines = [EngineRow("cpu", "fp32", "onnxruntime", "segment", status) for status in statuses]
    gates = [verdict(*words.split()) for words in verdicts]
    assert BuildResult(engines=engines, gates=gates, asked=asked).exit_code == code
