"""The learning rate: a linear warm-up, then half a cosine down to a share of the base rate."""

import math


def learning_rate(base: float, step: int, total: int, warmup: int, min_ratio: float) -> float:
    """The rate of ``step`` (from 1) of ``total``, as the official code has it."""
    if step < warmup:
        return base * step / max(1, warmup)
    progress = (step - warmup) / max(1, total - warmup)
    return base * (min_ratio + (1 - min_ratio) * 0.5 * (1 + math.cos(math.pi * progress)))
