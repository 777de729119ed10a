"""Bench of `norm`: row-blocks of all lengths, ordinary and extreme, against `layernorm` and `rmsnorm`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from hwlib.numerics import RequantParams, layernorm, rmsnorm
from hwlib.numerics.layernorm import layernorm_normalised
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
BLOCK_GAP_LIMIT = 24
COLS_MAX = 4096
RMS_SHARE = 0.5
PACED_MORE = 350
"""Columns besides, where the pace is judged: more than its long row-block has, so that others follow."""
FINE_COLS = (1, 2, 2, 2, 3, 3, 4, 5, 6, 7, 9, 12)
OUTLIER_COLS = (72, 150, 270)
OUTLIERS = (5, 11, 24, 1, 2, 48, 100)
LONG_BUDGET = 300
"""Transactions from which on every row has every outlier at every length, and in rows of SATURATING columns too: the
normalised value is shifted by every amount there is, and saturates after it."""
SATURATING = 1100
"""Columns of which one alone is normalised to 32 and more."""
NORMALISED_BITS = 11
"""Magnitude bits of an ordinary normalised value: 10 of fraction, one for values up to 2."""


@dataclass(frozen=True)
class _Block:
    """A row-block [T, cols], the parameters of its columns, and whether it is an RMSNorm."""

    x: Int
    params: Sequence[RequantParams]
    rms: bool

    def beats(self) -> list[Beat]:
        cols = self.x.shape[1]
        return two_passes(self.x, lambda c: {"rms": int(self.rms), "cols": cols, "param": encode_param(self.params[c])})

    def expected(self) -> list[Payload]:
        mult, bias, shift = (np.array([getattr(p, name) for p in self.params]) for name in ("mult", "bias", "shift"))
        norm = rmsnorm if self.rms else layernorm
        return [{"data": word} for word in column_words(norm(self.x, mult, bias, shift))]

    def vectors(self) -> list[str]:
        row = " ".join(str(v) for v in self.x[0, :8])
        kind = "RMSNorm" if self.rms else "LayerNorm"
        return [f"{kind}, column {c} of {len(self.params)}, row 0 begins {row}, {p}" for c, p in enumerate(self.params)]


def scenarios(point: Mapping[str, int], seed: int, transactions: int) -> list[Scenario]:
    """Full rate, corner rows, back-pressure, bubbles, a reset in mid-flight, rows whose normalised values are seen to
    the last bit, and the longest rows there are."""
    count = max(40, -(-transactions // len(STYLES)))
    result = []
    for index, style in enumerate((*STYLES, Style("longest"))):
        rng = np.random.default_rng(seed * 16 + index)
        kinds = _longest(point["T"]) if style.name == "longest" else _kinds(rng, style, point["T"], count)
        blocks = [_Block(x, _params(rng, x.shape[1]), rms) for x, rms in kinds]
        result.append(_scenario(style, blocks, seed * 16 + index))
    fine = _fine(np.random.default_rng(seed * 16 + 15), point["T"], transactions)
    return [*result, _scenario(Style("fine", 0.02, 0.05), fine, seed * 16 + 15)]


def _kinds(rng: np.random.Generator, style: Style, rows: int, count: int) -> list[tuple[Int, bool]]:
    """Row-blocks of at least `count` columns, each a LayerNorm or an RMSNorm (rms); corner cases are both in turn."""
    blocks = row_blocks(rng, style, rows, count + PACED_MORE if style.paced else count)
    if style.name == "corners":
        return [(x, rms) for x in blocks for rms in (False, True)]
    return [(x, bool(rng.random() < RMS_SHARE)) for x in blocks]


def _longest(rows: int) -> list[tuple[Int, bool]]:
    """The longest rows, LayerNorm and RMSNorm (rms): all -128, whose sums are the largest there are, and in other rows
    extremes in turn, or one extreme alone, whose normalised value is the largest.
    """
    x = np.full((rows, COLS_MAX), -128)
    x[1::2, ::2] = 127
    alone = np.full((rows, COLS_MAX), -128)
    alone[1::2, 1:] = 0
    return [(x, False), (alone, True)]


def _fine(rng: np.random.Generator, rows: int, transactions: int) -> list[_Block]:
    """Row-blocks of little variance, and ones with an outlier in each row, their results shown to the last bit."""
    blocks = [(rng.integers(0, 2 + (cols > 2), (rows, cols)) - rms, rms) for cols in FINE_COLS for rms in (False, True)]
    outliers = list(enumerate(OUTLIER_COLS))
    if transactions >= LONG_BUDGET:
        outliers = list(product(range(len(OUTLIERS)), (*OUTLIER_COLS, SATURATING)))
    for index, (turn, cols) in enumerate(outliers):
        x = np.zeros((rows, cols), dtype=np.int64)
        sizes = np.resize(np.roll(OUTLIERS, -turn), rows)
        x[np.arange(rows), rng.integers(0, cols, rows)] = sizes * rng.choice([-1, 1], rows)
        blocks.append((x, bool((index + turn) % 2)))
    return [_Block(x, _showing(rng, layernorm_normalised(x, rms)), rms) for x, rms in blocks]


def _showing(rng: np.random.Generator, normalised: Int) -> list[RequantParams]:
    """Parameters under which each column of `normalised` [rows, cols] shows the last bits of its product with gamma in
    one row, the largest: beta takes off all but what an int8 holds. Every other gamma is one that shows z itself."""
    params = []
    for index, column in enumerate(normalised.T):
        value = int(column[np.argmax(np.abs(column))])
        shift = int(rng.integers(1, 9))
        gamma = 1 << shift if index % 2 else int(rng.integers(-(1 << 15), 1 << 15))
        bias = (int(rng.integers(-100, 100)) << shift) - value * gamma
        params.append(RequantParams(gamma, bias, shift))
    return params


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
    """One column a cycle within a pass, a bounded pause after each pass, and each pass-1 column answered in time."""
    taken, y = seen.transfers["x"], seen.transfers["y"]
    pauses = [BLOCK_GAP_LIMIT if s.payload["pass"] else PASS_GAP_LIMIT for s in taken]
    limits = [1] + [pause + 1 if s.payload["last"] else 1 for s, pause in zip(taken, pauses, strict=True)]
    second = [s for s in taken if s.payload["pass"]]
    return late("x", taken, limits, "full rate, no refusal") or slow_answer("y", second, y, LATENCY_LIMIT)
