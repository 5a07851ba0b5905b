"""The Hierarchical Reasoning Model in PyTorch, to be read from top to bottom.

Wang et al., "Hierarchical Reasoning Model", arXiv 2506.21734; names and numbers follow the official code
(sapientinc/HRM), with FlashAttention replaced by ``scaled_dot_product_attention``. Shapes use B batch, S sequence,
P puzzle tokens, T = S + P, D hidden size, V vocabulary, E puzzle embedding.

Parameters live in the dtype that the network computes in; norms, rotary angles and the Q head's outputs are float32
in every dtype, as in the official code.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812  (PyTorch's own name for it)
from torch import Tensor, nn

if TYPE_CHECKING:
    from hrm.config import HRMConfig

ATTENTION = "torch.nn.functional.scaled_dot_product_attention"
"""What computes attention here, in place of FlashAttention: goes into logs and manifests."""


class Carry(NamedTuple):
    """The state that travels from segment to segment: ``z_H`` and ``z_L``, both [B, T, D]."""

    z_H: Tensor
    z_L: Tensor


class Heads(NamedTuple):
    """What the planner's state says: ``logits`` [B, S, V]; ``q_halt`` and ``q_continue`` float32 [B]."""

    logits: Tensor
    q_halt: Tensor
    q_continue: Tensor


def rms_norm(x: Tensor, eps: float) -> Tensor:
    """Root-mean-square norm without weights over the last axis, computed in float32."""
    wide = x.to(torch.float32)
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)).to(x.dtype)


class Rotary(nn.Module):
    """Rotary positions (Su et al., arXiv 2104.09864), half-rotation form, angles in float32."""

    cos: Tensor
    sin: Tensor

    def __init__(self, dim: int, length: int, theta: float) -> None:
        super().__init__()
        frequencies = 1.0 / theta ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim)
        angles = torch.outer(torch.arange(length, dtype=torch.float32), frequencies).repeat(1, 2)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Turn ``x`` [B, T, heads, head_dim] by its positions."""
        cos, sin = self.cos[: x.shape[1], None], self.sin[: x.shape[1], None]
        wide = x.to(torch.float32)
        left, right = wide.chunk(2, dim=-1)
        return (wide * cos + torch.cat((-right, left), dim=-1) * sin).to(x.dtype)


class Attention(nn.Module):
    """Full (non-causal, unmasked) multi-head self-attention with one fused Q, K, V projection."""

    def __init__(self, config: HRMConfig, dtype: torch.dtype) -> None:
        super().__init__()
        self.num_heads, self.head_dim = config.num_heads, config.head_dim
        self.qkv_proj = nn.Linear(config.hidden_size, 3 * config.hidden_size, bias=False, dtype=dtype)
        self.o_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False, dtype=dtype)

    def forward(self, x: Tensor, rotary: Rotary | None) -> Tensor:
        """Attend over ``x`` [B, T, D]."""
        batch, tokens, hidden = x.shape
        q, k, v = self.qkv_proj(x).view(batch, tokens, 3 * self.num_heads, self.head_dim).chunk(3, dim=2)
        if rotary is not None:
            q, k = rotary(q), rotary(k)
        y = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        return self.o_proj(y.transpose(1, 2).reshape(batch, tokens, hidden))  # type: ignore[no-any-return]


class SwiGLU(nn.Module):
    """Gated MLP: ``down(silu(gate) * up)`` with one fused gate and up projection."""

    def __init__(self, config: HRMConfig, dtype: torch.dtype) -> None:
        super().__init__()
        self.gate_up_proj = nn.Linear(config.hidden_size, 2 * config.mlp_width, bias=False, dtype=dtype)
        self.down_proj = nn.Linear(config.mlp_width, config.hidden_size, bias=False, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` [B, T, D] to the same shape."""
        gate, up = self.gate_up_proj(x).chunk(2, dim=-1)
        return self.down_proj(F.silu(gate) * up)  # type: ignore[no-any-return]


class Block(nn.Module):
    """A transformer block with its norms behind the residual sums (post-norm)."""

    def __init__(self, config: HRMConfig, dtype: torch.dtype) -> None:
        super().__init__()
        self.eps = config.rms_norm_eps
        self.self_attn = Attention(config, dtype)
        self.mlp = SwiGLU(config, dtype)

    def forward(self, x: Tensor, rotary: Rotary | None) -> Tensor:
        """Map ``x`` [B, T, D] to the same shape."""
        x = rms_norm(x + self.self_attn(x, rotary), self.eps)
        return rms_norm(x + self.mlp(x), self.eps)


class Level(nn.Module):
    """One recurrent stack: the executor (L) or the planner (H)."""

    def __init__(self, config: HRMConfig, layers: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block(config, dtype) for _ in range(layers))

    def forward(self, state: Tensor, injection: Tensor, rotary: Rotary | None) -> Tensor:
        """Update ``state`` with ``injection`` added to it, all [B, T, D]."""
        x = state + injection
        for layer in self.layers:
            x = layer(x, rotary)
        return x


class Embedding(nn.Module):
    """A table of vectors under the official parameter name."""

    def __init__(self, rows: int, dim: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.embedding_weight = nn.Parameter(torch.empty(rows, dim, dtype=dtype))


class PuzzleEmbedding(nn.Module):
    """One vector per puzzle identifier; a buffer, because it is trained by sign-SGD outside the main optimiser."""

    weights: Tensor

    def __init__(self, rows: int, dim: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("weights", torch.zeros(rows, dim, dtype=dtype))


class HRM(nn.Module):
    """The whole model: encoder, executor, planner with its heads, and the segment that puts them together."""

    H_init: Tensor
    L_init: Tensor

    def __init__(self, config: HRMConfig, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.config = config
        hidden, learned = config.hidden_size, config.pos_encodings == "learned"
        self.embed_tokens = Embedding(config.vocab_size, hidden, dtype)
        self.embed_pos = Embedding(config.tokens, hidden, dtype) if learned else None
        self.rotary = None if learned else Rotary(config.head_dim, config.tokens, config.rope_theta)
        self.puzzle_emb = (
            PuzzleEmbedding(config.num_puzzle_identifiers, config.puzzle_emb_ndim, dtype)
            if config.puzzle_emb_ndim
            else None
        )
        self.H_level = Level(config, config.H_layers, dtype)
        self.L_level = Level(config, config.L_layers, dtype)
        self.lm_head = nn.Linear(hidden, config.vocab_size, bias=False, dtype=dtype)
        self.q_head = nn.Linear(hidden, 2, dtype=dtype)
        self.register_buffer("H_init", torch.zeros(hidden, dtype=dtype))
        self.register_buffer("L_init", torch.zeros(hidden, dtype=dtype))

    def encode(self, inputs: Tensor, puzzle_identifiers: Tensor) -> Tensor:
        """Token ids [B, S] and puzzle identifiers [B] to input embeddings [B, T, D]; once per request."""
        if self.puzzle_emb is None:
            return self.embed(inputs, None)
        return self.embed(inputs, F.embedding(puzzle_identifiers, self.puzzle_emb.weights))

    def embed(self, inputs: Tensor, puzzle_embedding: Tensor | None) -> Tensor:
        """``encode`` with the puzzle's row [B, E] already looked up."""
        x = self._tokens(inputs)
        if puzzle_embedding is not None:
            length, hidden = self.config.puzzle_emb_len, self.config.hidden_size
            padded = F.pad(puzzle_embedding, (0, length * hidden - self.config.puzzle_emb_ndim))
            x = torch.cat((padded.view(-1, length, hidden), x), dim=1)
        if self.embed_pos is not None:
            # Both summands have unit variance: 1/sqrt(2) keeps their sum's at one.
            x = 0.707106781 * (x + self.embed_pos.embedding_weight[: x.shape[1]])
        return math.sqrt(self.config.hidden_size) * x

    def _tokens(self, inputs: Tensor) -> Tensor:
        """The vectors of token ids [B, S]: [B, S, D]."""
        table = self.embed_tokens.embedding_weight
        if not self.training or table.dtype is torch.float32:
            return F.embedding(inputs, table)
        # The same numbers as a product, for its gradient: that of a look-up adds thousands of rows to each of a few,
        # one by one on a GPU that is to repeat itself, and with 8 bits of precision in bfloat16.
        return F.one_hot(inputs, len(table)).to(table.dtype) @ table

    def execute(self, z_L: Tensor, z_H: Tensor, input_embeddings: Tensor) -> Tensor:
        """One executor (L) call on [B, T, D] states; returns the new ``z_L``."""
        return self.L_level(z_L, z_H + input_embeddings, self.rotary)  # type: ignore[no-any-return]

    def plan(self, z_H: Tensor, z_L: Tensor) -> Tensor:
        """One planner (H) call on [B, T, D] states; returns the new ``z_H``."""
        return self.H_level(z_H, z_L, self.rotary)  # type: ignore[no-any-return]

    def heads(self, z_H: Tensor) -> Heads:
        """The answer and the two halting values that ``z_H`` [B, T, D] stands for."""
        q = self.q_head(z_H[:, 0]).to(torch.float32)
        return Heads(self.lm_head(z_H[:, self.config.puzzle_emb_len :]), q[:, 0], q[:, 1])

    def segment(self, carry: Carry, input_embeddings: Tensor) -> tuple[Carry, Heads]:
        """One ACT step: every H cycle runs the executor ``L_cycles`` times, then the planner."""
        z_H, z_L = carry
        for _ in range(self.config.H_cycles):
            for _ in range(self.config.L_cycles):
                z_L = self.execute(z_L, z_H, input_embeddings)
            z_H = self.plan(z_H, z_L)
        return Carry(z_H, z_L), self.heads(z_H)

    def initial_carry(self, batch: int) -> Carry:
        """The state before the first segment, [B, T, D]."""
        shape = (batch, self.config.tokens, self.config.hidden_size)
        return Carry(self.H_init.expand(shape), self.L_init.expand(shape))


def random_network(config: HRMConfig, seed: int, dtype: torch.dtype = torch.float32) -> HRM:
    """An untrained HRM, initialised as the official code does (LeCun truncated normal), the same for the same seed."""
    model = HRM(config)
    generator = torch.Generator().manual_seed(seed)

    def fill(tensor: Tensor, std: float) -> None:
        nn.init.trunc_normal_(tensor, std=std, a=-2 * std, b=2 * std, generator=generator)

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_table = name.endswith("embedding_weight")
            if name == "q_head.bias":
                parameter.fill_(-5.0)  # an untrained model should not halt
            elif name == "q_head.weight":
                parameter.zero_()
            else:
                fill(parameter, 1 / math.sqrt(config.hidden_size if is_table else parameter.shape[1]))
        fill(model.H_init, 1.0)
        fill(model.L_init, 1.0)
    if dtype is not torch.float32:
        narrow = HRM(config, dtype)
        narrow.load_state_dict(model.state_dict())
        return narrow.eval()
    return model.eval()
