"""Stand-in engines whose puzzles need as many segments as they say themselves: real ONNX graphs, fit for `publish`.

The first token is the depth. A segment adds the embedding to z_L and one to z_H, so z_L / z_H is the embedding only if
a row has kept its carry through all its segments; the answer is the tokens once the depth is reached, and nothing
before. An orchestrator that mixes rows, loses a segment or halts too early answers wrong. ``slow_engine`` serves them.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from onnx import parser

from benchmarks.serving.shared import write_bundle
from engines.bundle import Profile, Range
from hrm.config import HRMConfig
from triton_models.config import CONFIG, parse_config

if TYPE_CHECKING:
    import numpy.typing as npt

    from export.contract import Module

HIDDEN = 4
CELLS = 36
MAX_DEPTH = 8
VOCABULARY = MAX_DEPTH + 1
_CONFIG = HRMConfig(
    vocab_size=VOCABULARY,
    seq_len=CELLS,
    num_puzzle_identifiers=1,
    hidden_size=HIDDEN,
    num_heads=1,
    H_layers=1,
    L_layers=1,
    H_cycles=1,
    L_cycles=1,
    halt_max_steps=MAX_DEPTH,
    puzzle_emb_ndim=HIDDEN,
)
_STATE = f"float[batch,tokens,{HIDDEN}]"
_GRAPHS: dict[Module, str] = {
    "encoder": f"""encoder (int32[batch,sequence] inputs, int32[batch] puzzle_identifiers)
        => ({_STATE} input_embeddings)
        <float[1,1] puzzles = {{0}}, float[1,{HIDDEN}] wide = {{{",".join("1" * HIDDEN)}}}> {{
        zero = Constant <value = int64[1] {{0}}>()
        one = Constant <value = int64[1] {{1}}>()
        two = Constant <value = int64[1] {{2}}>()
        values = Cast <to = 1> (inputs)
        depth = Slice(values, zero, one, one)
        row = Gather <axis = 0> (puzzles, puzzle_identifiers)
        first = Add(depth, row)
        tokens = Concat <axis = 1> (first, values)
        column = Unsqueeze(tokens, two)
        input_embeddings = MatMul(column, wide)
    }}""",
    "segment": f"""segment ({_STATE} z_H, {_STATE} z_L, {_STATE} input_embeddings)
        => ({_STATE} z_H_out, {_STATE} z_L_out,
            float[batch,sequence,{VOCABULARY}] logits, float[batch] q_halt, float[batch] q_continue)
        <float[{VOCABULARY}] words = {{{",".join(map(str, range(VOCABULARY)))}}}> {{
        start = Constant <value = int64 {{0}}>()
        one = Constant <value = int64[1] {{1}}>()
        two = Constant <value = int64[1] {{2}}>()
        end = Constant <value = int64[1] {{1000}}>()
        unit = Constant <value = float {{1.0}}>()
        nothing = Constant <value = float {{0.0}}>()
        half = Constant <value = float {{0.5}}>()
        z_H_out = Add(z_H, unit)
        z_L_out = Add(z_L, input_embeddings)
        both = Div(z_L_out, z_H_out)
        tokens = Gather <axis = 2> (both, start)
        counts = Gather <axis = 2> (z_H_out, start)
        depth = Gather <axis = 1> (tokens, start)
        taken = Gather <axis = 1> (counts, start)
        q_halt = Sub(taken, depth)
        none = Mul(q_halt, nothing)
        q_continue = Sub(none, half)
        halts = Greater(q_halt, q_continue)
        reached = Cast <to = 1> (halts)
        mask = Unsqueeze(reached, one)
        cells = Slice(tokens, one, end, one)
        answer = Mul(cells, mask)
        column = Unsqueeze(answer, two)
        apart = Sub(column, words)
        distance = Abs(apart)
        logits = Neg(distance)
    }}""",
}


def standin_bundle(directory: Path, slots: int) -> Path:
    """A bundle of the two graphs, with verdicts that let it be published."""
    engines = {module: _graph(text) for module, text in _GRAPHS.items()}
    carry = {name: np.zeros(HIDDEN, np.float32) for name in ("z_H", "z_L")}
    batch, sequence = Range(min=1, opt=slots, max=256), Range(min=1, opt=CELLS, max=CELLS)
    return write_bundle(
        directory,
        "segment",
        engines,
        carry,
        _CONFIG,
        verdicts={"fixed": "pass", "adaptive": "pass"},
        profile=Profile(batch=batch, sequence=sequence),
    )


def standin_puzzles(depths: npt.NDArray[np.int32], seed: int = 0) -> npt.NDArray[np.int32]:
    """Token ids int32 [N, S] of puzzles that need these depths [N]; each is its own answer."""
    generator = np.random.default_rng(seed)
    tokens = generator.integers(1, VOCABULARY, size=(len(depths), CELLS), dtype=np.int32)
    tokens[:, 0] = depths
    return tokens


def serve_slowly(repository: Path, name: str) -> None:
    """Have the segment of a published stand-in served by ``slow_engine``; its graph stays the one that runs."""
    from google.protobuf import text_format

    model = repository / f"{name}_segment"
    config = parse_config((model / CONFIG).read_text())
    config.ClearField("platform")
    config.ClearField("default_model_filename")
    config.backend = "python"
    (model / CONFIG).write_text(text_format.MessageToString(config))
    for version in config.version_policy.specific.versions:
        shutil.copy(Path(__file__).with_name("slow_engine.py"), model / str(version) / "model.py")


def _graph(text: str) -> bytes:
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> {text}')
    return bytes(model.SerializeToString())
