"""Row-blocks as columns: what the benches of the streaming vector cores (`norm`, `softmax`, `eltwise`) share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwlib.numerics import RequantParams
from verification.benches.scenario import Beat, Mismatch, Payload, Seen

Int = NDArray[np.int64]

MULT_LIMIT = 1 << 15
BIAS_LIMIT = 1 << 39
SHIFT_MAX = 47


@dataclass(frozen=True)
class Style:
    """How a scenario drives a core: bubbles, back-pressure, reset in mid-flight, and whether its pace is judged."""

    name: str
    gap: float = 0.0
    stall: float = 0.0
    reset: bool = False

    @property
    def paced(self) -> bool:
        return self.gap == 0 and self.stall == 0 and not self.reset


STYLES = (
    Style("full-rate"),
    Style("corners", 0.05, 0.2),
    Style("stalled", 0.1, 0.6),
    Style("bubbles", 0.5, 0.1),
    Style("reset", 0.2, 0.3, reset=True),
)


def column_words(x: Int) -> list[int]:
    """Each column of int8 `x` [rows, cols] as an integer, row 0 in the low byte."""
    return [int.from_bytes(column.tobytes(), "little") for column in x.astype(np.int8).T]


def two_passes(x: Int, sideband: Callable[[int], Payload]) -> list[Beat]:
    """The beats of row-block `x`: every column with pass 0, then with pass 1; `sideband(column)` adds fields."""
    words = column_words(x)
    return [
        Beat({"data": word, "pass": turn, "last": int(c == len(words) - 1)} | sideband(c))
        for turn in (0, 1)
        for c, word in enumerate(words)
    ]


def corner_rows(rng: np.random.Generator, rows: int) -> list[Int]:
    """Row-blocks [rows, cols] that strain the arithmetic: single columns, equal values, extremes, outliers."""
    alternating = np.tile([-128, 127], (rows, 10))
    outlier = np.full((rows, 33), 5)
    outlier[np.arange(rows), rng.integers(0, 33, rows)] = rng.choice([-128, 127], rows)
    step = np.zeros((rows, 12), dtype=np.int64)
    step[:, -1] = 1
    mixed = np.stack([np.full(9, value) for value in np.resize([-128, 127, 0, -1], rows)])
    return [
        rng.integers(-128, 128, (rows, 1)),
        rng.integers(-128, 128, (rows, 2)),
        np.full((rows, 1), -128),
        np.full((rows, 16), -128),
        np.full((rows, 17), 127),
        mixed,
        alternating,
        -1 - alternating[:, :7],
        outlier,
        step,
        np.tile(np.arange(127, -129, -1), (rows, 1)),
    ]


def row_blocks(rng: np.random.Generator, style: Style, rows: int, columns: int) -> list[Int]:
    """Row-blocks of at least `columns` columns together, the corner cases or a long one among them."""
    blocks = corner_rows(rng, rows) if style.name == "corners" else []
    if style.paced:
        blocks.append(rng.integers(-128, 128, (rows, 257)))
    while sum(x.shape[1] for x in blocks) < columns:
        cols = int(rng.choice([1, 2, 3, 5, 16, int(rng.integers(6, 80))]))
        spread = int(rng.choice([2, 12, 128]))
        centre = int(rng.integers(-128 + spread, 129 - spread))
        blocks.append(rng.integers(centre - spread, centre + spread, (rows, cols)))
    return blocks


def random_param(rng: np.random.Generator, scale_bits: int) -> RequantParams:
    """Parameters that bring values of `scale_bits` bits to int8, or now and then any at all, extremes included."""
    if rng.random() < 0.2:
        mult = int(rng.choice([-MULT_LIMIT, MULT_LIMIT - 1, 0, 1, -1, int(rng.integers(-MULT_LIMIT, MULT_LIMIT))]))
        bias = int(rng.choice([-BIAS_LIMIT, BIAS_LIMIT - 1, 0, 1, -1, int(rng.integers(-BIAS_LIMIT, BIAS_LIMIT))]))
        shift = int(rng.choice([1, 2, 8, 31, 32, SHIFT_MAX, int(rng.integers(1, SHIFT_MAX + 1))]))
        return RequantParams(mult, bias, shift)
    mult = int(rng.integers(-MULT_LIMIT, MULT_LIMIT) >> rng.integers(0, 14))
    shift = min(SHIFT_MAX, max(1, abs(mult).bit_length() + scale_bits - int(rng.integers(5, 9))))
    limit = min(BIAS_LIMIT, 1 << (shift + 6))
    return RequantParams(mult, int(rng.integers(-limit, limit)), shift)


def upper_param(rng: np.random.Generator) -> RequantParams:
    """Parameters that show the sum's upper bits: a large bias and shift, and any multiplier."""
    shift = int(rng.integers(25, 42))
    most = min(BIAS_LIMIT, 1 << (shift + 6))
    mult = int(
        rng.integers(-MULT_LIMIT, MULT_LIMIT) if rng.random() < 0.5 else rng.choice([-MULT_LIMIT, MULT_LIMIT - 1])
    )
    return RequantParams(mult, int(rng.integers(-most, most)), shift)


def lower_param(rng: np.random.Generator) -> RequantParams:
    """Parameters that show the sum's lower bits: small in everything."""
    shift = int(rng.integers(1, 4))
    most = 1 << (shift + 6)
    return RequantParams(int(rng.choice([-3, -2, -1, 1, 2, 3])), int(rng.integers(-most, most)), shift)


def late(interface: str, seen: Sequence[Seen], limits: Sequence[int], why: str) -> list[Mismatch]:
    """The first transfer that came more than its limit of cycles after the one before; limits[0] is ignored."""
    for index in range(1, min(len(seen), len(limits))):
        cycles = seen[index].cycle - seen[index - 1].cycle
        if cycles > limits[index]:
            want = f"at most {limits[index]} cycles after the beat before"
            return [Mismatch(interface, index, seen[index].cycle, want, f"{cycles} cycles", why)]
    return []


def slow_answer(interface: str, asked: Sequence[Seen], answered: Sequence[Seen], limit: int) -> list[Mismatch]:
    """The first transfer on `interface` more than `limit` cycles after the transfer that caused it."""
    for index, (cause, answer) in enumerate(zip(asked, answered, strict=False)):
        if answer.cycle - cause.cycle > limit:
            want, got = f"within {limit} cycles of its input", f"{answer.cycle - cause.cycle} cycles"
            return [Mismatch(interface, index, answer.cycle, want, got, "full rate, no refusal")]
    return []
