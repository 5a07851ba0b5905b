"""Small untrained networks of every shape that the exporter must know, and how to run their graphs."""

from dataclasses import replace

import onnxruntime

from hrm.config import HRMConfig

DIGEST = "0123456789abcdef" * 4
"""Stands for a checkpoint's."""

PLAIN = HRMConfig(
    vocab_size=7,
    seq_len=10,
    num_puzzle_identifiers=5,
    hidden_size=32,
    num_heads=2,
    H_layers=1,
    L_layers=1,
    H_cycles=1,
    L_cycles=1,
    halt_max_steps=2,
    puzzle_emb_ndim=32,
)
LEARNED = replace(PLAIN, pos_encodings="learned", H_cycles=2)
NO_PUZZLE = replace(PLAIN, puzzle_emb_ndim=0, num_puzzle_identifiers=1)
PADDED_PUZZLE = replace(PLAIN, puzzle_emb_ndim=40)
"""Its embedding fills two tokens, the second in part."""
ODD = replace(PLAIN, L_layers=3, H_cycles=3)


def session(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(engine, **feeds):
    names = [value.name for value in engine.get_outputs()]
    return dict(zip(names, engine.run(names, feeds), strict=True))
