from dataclasses import replace

import pytest
import tiny

from export.contract import puzzle_input, signature
from hrm.config import PAPER


def test_segment_gives_the_carry_and_the_heads():
    inputs, outputs = signature(PAPER, "fp16", "segment")
    assert [(s.name, s.dtype) for s in inputs] == [(n, "float16") for n in ("z_H", "z_L", "input_embeddings")]
    assert [(s.name, s.dtype) for s in outputs] == [
        ("z_H_out", "float16"),
        ("z_L_out", "float16"),
        ("logits", "float32"),
        ("q_halt", "float32"),
        ("q_continue", "float32"),
    ]
    assert outputs[2].shape == ("batch", "sequence", 11)


@pytest.mark.parametrize(
    ("config", "limit", "expected"),
    [
        (tiny.PLAIN, 5 * 32 * 4, "puzzle_identifiers"),
        (tiny.PLAIN, 5 * 32 * 4 - 1, "puzzle_embedding"),
        (tiny.NO_PUZZLE, 0, None),
    ],
)
def test_puzzle_input_depends_on_the_tables_bytes(config, limit, expected):
    assert puzzle_input(config, limit) == expected


def test_arc_2_keeps_its_puzzle_table_out_of_the_graph():
    arc = replace(PAPER, num_puzzle_identifiers=1_045_829)
    assert [spec.name for spec in signature(arc, "fp16", "encoder").inputs] == ["inputs", "puzzle_embedding"]
