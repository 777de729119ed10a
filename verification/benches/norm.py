"""Bench of `norm`: row-blocks of all lengths, ordinary and extreme, against `layernorm`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hwlib.numerics import RequantParams, layernorm
from hwlib.numerics.requantize import encode_param
from verification.benches.row_blocks import (
    STYLES,
    Style,
    column_words,
    late,
    random_param,
    row_blocks,
    slow_answer,
    two_passes,
)  # fmt: skip
from verification.benches.scenario import Accept, Beat, Drive, Mismatch, Observed, Payload, Scenario, compare_stream

Int = NDArray[np.int64]

LATENCY_LIMIT = 24
PASS_GAP_LIMIT = 96
COLS_MAX = 4096
NORMALISED_BITS = 11
"""Magnitude bits of an ordinary normalised value: 10 of fraction, one for values up to 2."""


@dataclass(frozen=True)
class _Block:
    """A row-block [T, cols] and the parameters of its columns."""

    x: Int
    params: Sequence[RequantParams]

    def beats(self) -> list[Beat]:
        cols = self.x.shape[1]
        return two_passes(self.x, lambda c: {"cols": cols, "param": encode_param(self.params[c])})

    def expected(self) -> list[Payload]:
        mult, bias, shift = (np.array([getattr(p, name) for p in self.params]) for name in ("mult", "bias", "shift"))
        return [{"data": word} for word in column_words(layernorm(self.x, mult, bias, shift))]

    def vectors(self) -> list[str]:
        row = " ".join(str(v) for v in self.x[0, :8])
        return [f"column {c} of {len(self.params)}, row 0 begins {row}, {p}" for c, p in enumerate(self.params)]


def scenarios(point: Mapping[str, int], seed: int, transactions: int) -> list[Scenario]:
    """Full rate, corner rows, back-pressure, bubbles, a reset in mid-flight, and the longest rows there are."""
    count = max(40, -(-transactions // len(STYLES)))
    result = []
    for index, style in enumerate((*STYLES, Style("longest"))):
        rng = np.random.default_rng(seed * 16 + index)
        rows = _longest(point["T"]) if style.name == "longest" else row_blocks(rng, style, point["T"], count)
        blocks = [_Block(x, _params(rng, x.shape[1])) for x in rows]
        result.append(_scenario(style, blocks, seed * 16 + index))
    return result


def _longest(rows: int) -> list[Int]:
    """One row-block of the longest rows: all -128, then extremes in turn, whose sums reach their largest values."""
    x = np.full((rows, COLS_MAX), -128)
    x[1::2, ::2] = 127
    return [x]


def _params(rng: np.random.Generator, cols: int) -> list[RequantParams]:
    return [random_param(rng, NORMALISED_BITS) for _ in range(cols)]


def _scenario(style: Style, blocks: Sequence[_Block], seed: int) -> Scenario:
    beats = [beat for block in blocks for beat in block.beats()]
    expected = [payload for block in blocks for payload in block.expected()]
    vectors = [vector for block in blocks for vector in block.vectors()]

    def judge(seen: Observed) -> list[Mismatch]:
        wrong = compare_stream("y", seen.transfers["y"], expected, vectors)
        return wrong or (_slow(seen) if style.paced else [])

    return Scenario(
        name=style.name,
        agents=(Drive("x", beats, style.gap), Accept("y", style.stall)),
        until={"y": len(expected)},
        judge=judge,
        transactions=len(expected),
        max_cycles=1000 + 6 * len(beats) + 2 * PASS_GAP_LIMIT * len(blocks),
        seed=seed,
        reset_after=("x", len(beats) // 2) if style.reset else None,
    )


def _slow(seen: Observed) -> list[Mismatch]:
    """One column a cycle within a pass, a bounded pause before pass 1, and each pass-1 column answered in time."""
    taken, y = seen.transfers["x"], seen.transfers["y"]
    turns = [s.payload["pass"] for s in taken]
    limits = [1, *(PASS_GAP_LIMIT + 1 if b > a else 1 for a, b in pairwise(turns))]
    second = [s for s in taken if s.payload["pass"]]
    return late("x", taken, limits, "full rate, no refusal") or slow_answer("y", second, y, LATENCY_LIMIT)
