"""Bench of `array`: tiles of random length, order and values against the exact dot products."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwlib.numerics import accumulate
from verification.benches.scenario import Accept, Beat, Drive, Mismatch, Observed, Payload, Scenario, compare_stream

Int = NDArray[np.int64]

CORNERS = (-128, -127, -1, 0, 1, 127)
LARGE = 1 << 23
"""What a sum of the scenario of large ones comes to at least, nearly."""
SHORT_RUN, SHORT_BEATS = 100, 128
"""A run of fewer transactions than the first sums at most so many beats of large ones, and of a wide array two tiles
in each scenario instead of three: these would be most of a quick run's time."""
START_CYCLES = 8
"""How late a full-rate run may start; from then on it takes a beat every cycle."""


@dataclass(frozen=True)
class _Style:
    """How a scenario differs: beats a tile (low, high; of a full rate, the first half of
    the tiles has the low), `odd` flags, corner values, gap, stall and reset."""

    name: str
    beats: tuple[int, int]
    odd: bool = False
    corners: bool = False
    gap: float = 0.0
    stall: float = 0.0
    reset: bool = False


@dataclass(frozen=True)
class _Step:
    """One op beat: a and b [T, D], first and last."""

    a: Int
    b: Int
    first: bool
    last: bool


def scenarios(point: Mapping[str, int], seed: int, transactions: int) -> list[Scenario]:
    """Full rate, short tiles, bubbles and back-pressure, corner values, continued tiles, and a reset in mid-flight."""
    tile, dot = point["T"], point["D"]
    styles = (
        _Style("full-rate", (tile, tile + 3)),
        _Style("short-tiles", (1, tile)),
        _Style("bubbles", (1, 2 * tile), odd=True, gap=0.3, stall=0.4),
        _Style("refused", (tile, tile + 2), odd=True, stall=0.8),
        _Style("corners", (1, 6), corners=True, gap=0.1, stall=0.1),
        _Style("large", (_large_beats(dot, transactions),) * 2),
        _Style("reset", (1, tile + 2), odd=True, gap=0.2, stall=0.3, reset=True),
    )
    least = 2 if transactions < SHORT_RUN else 3
    tiles = max(least, -(-transactions // (tile * (len(styles) - 1))))  # the large one is a single tile
    return [_scenario(style, tile, dot, tiles, seed * len(styles) + index) for index, style in enumerate(styles)]


def _large_beats(dot: int, transactions: int) -> int:
    whole = LARGE // (1 << 14) // dot
    return min(whole, SHORT_BEATS) if transactions < SHORT_RUN else whole


def _scenario(style: _Style, tile: int, dot: int, tiles: int, seed: int) -> Scenario:
    rng = np.random.default_rng(seed)
    steps = _large(rng, style.beats[0], tile, dot) if style.name == "large" else _steps(rng, style, tile, dot, tiles)
    expected, vectors = _golden(steps, tile)
    full_rate = style.name == "full-rate"

    def judge(seen: Observed) -> list[Mismatch]:
        wrong = compare_stream("acc", seen.transfers["acc"], expected, vectors)
        return wrong or (_slow(seen, len(steps)) if full_rate else [])

    return Scenario(
        name=style.name,
        agents=(Drive("op", [Beat(_payload(s)) for s in steps], style.gap), Accept("acc", style.stall)),
        until={"acc": len(expected)},
        judge=judge,
        transactions=len(expected),
        max_cycles=500 + 12 * (len(steps) + len(expected)),
        seed=seed,
        reset_after=("op", len(steps) // 3) if style.reset else None,
    )


def _steps(rng: np.random.Generator, style: _Style, tile: int, dot: int, tiles: int) -> list[_Step]:
    steps = []
    for number in range(tiles):
        most = style.beats[0] if style.name == "full-rate" and number < tiles // 2 else style.beats[1]
        count = int(rng.integers(style.beats[0], most + 1))
        goes_on = style.odd and number > 0 and rng.random() < 0.25
        starts_over = int(rng.integers(0, count)) if style.odd and rng.random() < 0.2 else 0
        for k in range(count):
            a, b = (_values(rng, (tile, dot), style.corners) for _ in range(2))
            first = (k == 0 and not goes_on) or (starts_over > 0 and k == starts_over)
            steps.append(_Step(a, b, first, k == count - 1))
    return steps


def _large(rng: np.random.Generator, count: int, tile: int, dot: int) -> list[_Step]:
    """One tile of sums as large as they come, of either sign: every row and column keeps to a sign."""
    signs = [rng.choice([-1, 1], (tile, 1)) for _ in range(2)]
    beats = ([np.where(sign < 0, rng.integers(-128, -119, (tile, dot)), rng.integers(119, 128, (tile, dot)))
              for sign in signs] for _ in range(count + 8))  # fmt: skip
    return [_Step(a, b, index == 0, index == count + 7) for index, (a, b) in enumerate(beats)]


def _values(rng: np.random.Generator, shape: tuple[int, int], corners: bool) -> Int:
    if not corners:
        return rng.integers(-128, 128, shape)
    if rng.random() < 0.3:
        return np.full(shape, rng.choice(CORNERS))
    return rng.choice(np.array(CORNERS), shape)


def _golden(steps: list[_Step], tile: int) -> tuple[list[Payload], list[str]]:
    """The acc beats of `steps`, and for each the op beat that finished its tile."""
    acc = np.zeros((tile, tile), dtype=np.int64)
    expected: list[Payload] = []
    vectors: list[str] = []
    for index, step in enumerate(steps):
        acc = (0 if step.first else acc) + accumulate(step.a, step.b)
        if step.last:
            expected += [{"data": _bits(acc[:, column], 32)} for column in range(tile)]
            vectors += [f"column {column} of the tile ended by op beat {index}" for column in range(tile)]
    return expected, vectors


def _payload(step: _Step) -> Payload:
    return {"a": _bits(step.a, 8), "b": _bits(step.b, 8), "first": int(step.first), "last": int(step.last)}


def _bits(values: Int, width: int) -> int:
    """Signed `values` in order, `width` bits each, the first lowest."""
    return int.from_bytes(values.astype(f"<i{width // 8}").tobytes(), "little")


def _slow(seen: Observed, beats: int) -> list[Mismatch]:
    op = seen.transfers["op"]
    vector = "full rate, no refusal"
    if op[0].cycle > START_CYCLES:
        return [Mismatch("op", 0, op[0].cycle, f"within {START_CYCLES} cycles", f"cycle {op[0].cycle}", vector)]
    for index, beat in enumerate(op):
        if beat.cycle > op[0].cycle + index:
            want, got = f"taken in cycle {op[0].cycle + index}", f"in cycle {beat.cycle}"
            return [Mismatch("op", index, beat.cycle, f"{beats} beats in {beats} cycles: {want}", got, vector)]
    return []
