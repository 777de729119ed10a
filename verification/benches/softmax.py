"""Bench of `softmax`: row-blocks of all lengths and fractions, ordinary and extreme, against the golden softmax."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwlib.numerics import causal, softmax
from verification.benches.row_blocks import STYLES, Style, column_words, late, row_blocks, slow_answer, two_passes
from verification.benches.scenario import Accept, Beat, Drive, Mismatch, Observed, Payload, Scenario, compare_stream

Int = NDArray[np.int64]
Mask = NDArray[np.bool_]

LATENCY_LIMIT = 12
SCALE_LATENCY = 60
"""And as many cycles more as there are rows."""
COLS_MAX = 4096
TOTALS = (3400, 1000, 400, 380)
"""Columns of rows of which most count, so that their total may be any of many."""
FRACTIONS = (2, 3, 4, 5)
EVERY_SHARE = 0.25
RISE_MAX = 64
"""Octaves from the least score to the greatest, at two fraction bits."""
PACED_MORE = 350
"""Columns besides, where the pace is judged: more than its long row-block has, so that others follow."""


@dataclass(frozen=True)
class _Block:
    """A row-block of scores [T, cols] in units of 2**-frac octaves, and which elements count."""

    x: Int
    frac: int
    counted: Mask

    def beats(self) -> list[Beat]:
        masks = [sum(1 << r for r, counts in enumerate(column) if counts) for column in self.counted.T]
        return two_passes(self.x, lambda c: {"mask": masks[c], "frac": self.frac})

    def expected(self) -> tuple[list[Payload], Payload]:
        """The p beats and the s beat."""
        p, scale = softmax(self.x, self.frac, self.counted)
        rows = [int(m) | int(s) << 16 for m, s in zip(scale.mult, scale.shift, strict=True)]
        return [{"data": word} for word in column_words(p)], {"data": sum(v << 24 * r for r, v in enumerate(rows))}

    def vector(self) -> str:
        pairs = zip(self.x[0, :8], self.counted[0, :8], strict=True)
        row = " ".join(str(v) if counts else f"({v})" for v, counts in pairs)
        return f"{self.x.shape[1]} columns, frac {self.frac}, row 0 begins {row} (in brackets: does not count)"


def scenarios(point: Mapping[str, int], seed: int, transactions: int) -> list[Scenario]:
    """Full rate, corner rows with every fraction, back-pressure, bubbles, a reset, and the longest rows there are."""
    count = max(40, -(-transactions // len(STYLES)))
    result = []
    for index, style in enumerate((*STYLES, Style("longest"))):
        rng = np.random.default_rng(seed * 16 + index)
        if style.name == "longest":
            blocks = _longest(rng, point["T"])
        else:
            rows = row_blocks(rng, style, point["T"], count + PACED_MORE if style.paced else count)
            blocks = [_Block(x, FRACTIONS[(i + seed) % 4], _mask(rng, *x.shape)) for i, x in enumerate(rows)]
            blocks += _rises(rng, point["T"]) if style.name == "corners" else []
        result.append(_scenario(style, point["T"], blocks, seed * 16 + index))
    return result


def _mask(rng: np.random.Generator, rows: int, cols: int) -> Mask:
    """Which elements of a row-block [rows, cols] count, at least one in each row.

    All, causal, all but the first columns, all but the last, random and dense or sparse, one alone.
    """
    if rng.random() < EVERY_SHARE:
        return np.ones((rows, cols), dtype=np.bool_)
    column, alone = np.arange(cols), rng.integers(0, cols, (rows, 1))
    shapes: list[Callable[[], Mask]] = [
        lambda: causal(rows, cols, int(rng.integers(1, cols + 1))),
        lambda: column >= alone,
        lambda: column <= alone,
        lambda: rng.random((rows, cols)) < rng.choice([0.1, 0.5, 0.9]),
        lambda: column == alone,
    ]
    mask = shapes[rng.integers(len(shapes))]()
    counted: Mask = mask | ((column == alone) & ~mask.any(axis=1, keepdims=True))
    return counted


def _rises(rng: np.random.Generator, rows: int) -> list[_Block]:
    """Rows in which the maximum rises once, by every number of octaves that there is, from a small total."""
    rise = rng.permutation(np.resize(np.arange(1, RISE_MAX + 1), -(-RISE_MAX // rows) * rows)).reshape(-1, rows, 1)
    blocks = []
    for octaves in rise:
        cols = int(rng.integers(2, 10))
        top = np.minimum(127, 4 * octaves - rng.integers(0, 4, (rows, cols)) - 128)
        late = np.arange(cols) >= rng.integers(1, cols, (rows, 1))
        top[:, -1:] = np.minimum(127, 4 * octaves - 128)
        blocks.append(_Block(np.where(late, top, -128), 2, np.ones((rows, cols), dtype=np.bool_)))
    return blocks


def _longest(rng: np.random.Generator, rows: int) -> list[_Block]:
    """The longest rows: equal scores, whose total is the largest, and in other rows one peak that in the second block
    does not count. Of that block and shorter ones some elements count: totals of any size. Late rises end them.
    """
    x = np.full((rows, COLS_MAX), -128)
    peak = rng.integers(0, COLS_MAX)
    x[1::2, peak] = 127
    every = np.ones((rows, COLS_MAX), dtype=np.bool_)
    column = np.arange(COLS_MAX)
    some = column < rng.integers(3 * COLS_MAX // 4, COLS_MAX + 1, (rows, 1))
    blocks = [_Block(x, 5, every), _Block(x, 5, some & (column != peak))]
    for cols in TOTALS:
        counted = column[:cols] < rng.integers(cols * 5 // 6, cols + 1, (rows, 1))
        blocks.append(_Block(x[:, :1].repeat(cols, 1), 5, counted))
    return [*blocks, _late_rise(rng, rows, range(16, 25)), _late_rise(rng, rows, range(32, RISE_MAX))]


def _late_rise(rng: np.random.Generator, rows: int, octaves: range) -> _Block:
    """Large totals that the last column shifts down to a few bits, or away."""
    x = np.full((rows, rng.integers(COLS_MAX // 2, COLS_MAX)), -128)
    x[:, -1] += 4 * rng.choice(octaves, rows)
    return _Block(x, 2, np.ones(x.shape, dtype=np.bool_))


def _scenario(style: Style, rows: int, blocks: Sequence[_Block], seed: int) -> Scenario:
    beats = [beat for block in blocks for beat in block.beats()]
    answers = [block.expected() for block in blocks]
    p = [payload for columns, _ in answers for payload in columns]
    s = [payload for _, payload in answers]
    p_vectors = [f"column {c} of {block.vector()}" for block in blocks for c in range(block.x.shape[1])]
    s_vectors = [block.vector() for block in blocks]

    def judge(seen: Observed) -> list[Mismatch]:
        wrong = compare_stream("p", seen.transfers["p"], p, p_vectors)
        wrong = wrong or compare_stream("s", seen.transfers["s"], s, s_vectors) or _early(seen, blocks)
        return wrong or (_slow(seen, rows) if style.paced else [])

    return Scenario(
        name=style.name,
        agents=(Drive("x", beats, style.gap), Accept("p", style.stall), Accept("s", style.stall)),
        until={"p": len(p), "s": len(s)},
        judge=judge,
        transactions=len(p) + len(s),
        max_cycles=1000 + 6 * len(beats) + 200 * len(blocks),
        seed=seed,
        reset_after=("x", len(beats) // 2) if style.reset else None,
    )


def _early(seen: Observed, blocks: Sequence[_Block]) -> list[Mismatch]:
    """An s beat must come after its row-block's last p beat."""
    ends = np.cumsum([block.x.shape[1] for block in blocks])
    for index, (s, end) in enumerate(zip(seen.transfers["s"], ends, strict=True)):
        last = seen.transfers["p"][end - 1].cycle
        if s.cycle <= last:
            want = f"after cycle {last}, its last p beat"
            return [Mismatch("s", index, s.cycle, want, "before", blocks[index].vector())]
    return []


def _slow(seen: Observed, rows: int) -> list[Mismatch]:
    """One column a cycle within a pass, a bounded pause before each, columns of pass 1 and row-blocks answered soon."""
    taken, p = seen.transfers["x"], seen.transfers["p"]
    pause = 48 + rows + 1
    limits = [1] + [pause if a.payload["last"] else 1 for a in taken[:-1]]
    second = [s for s in taken if s.payload["pass"]]
    ends = [s for s in second if s.payload["last"]]
    return (
        late("x", taken, limits, "full rate, no refusal")
        or slow_answer("p", second, p, LATENCY_LIMIT)
        or slow_answer("s", ends, seen.transfers["s"], SCALE_LATENCY + rows)
    )
