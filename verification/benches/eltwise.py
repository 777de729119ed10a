"""Bench of `eltwise`: random and extreme operands and parameters against `add_requantize`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hwlib.numerics import RequantParams, add_requantize
from hwlib.numerics.requantize import encode_param
from verification.benches.row_blocks import STYLES, Style, column_words, late, random_param, slow_answer
from verification.benches.scenario import Accept, Beat, Drive, Mismatch, Observed, Scenario, compare_stream, show

Int = NDArray[np.int64]

LATENCY_LIMIT = 16
EXTREMES = (-128, -127, -1, 0, 1, 126, 127)
OPERAND_BITS = 8


def scenarios(point: Mapping[str, int], seed: int, transactions: int) -> list[Scenario]:
    """Full rate, corner values, heavy back-pressure, bubbles, and a reset in mid-flight."""
    count = max(24, -(-transactions // len(STYLES)))
    return [_scenario(style, point["T"], count, seed * len(STYLES) + index) for index, style in enumerate(STYLES)]


def _scenario(style: Style, lanes: int, count: int, seed: int) -> Scenario:
    rng = np.random.default_rng(seed)
    beats, expected = [], []
    for _ in range(count):
        a, b = _operands(rng, style, lanes), _operands(rng, style, lanes)
        first, second = _params(rng)
        beats.append(Beat(_payload(a, b, first, second)))
        expected.append({"data": column_words(add_requantize(a, b, first, second))[0]})
    vectors = [show(beat.payload) for beat in beats]

    def judge(seen: Observed) -> list[Mismatch]:
        wrong = compare_stream("y", seen.transfers["y"], expected, vectors)
        return wrong or (_slow(seen) if style.paced else [])

    return Scenario(
        name=style.name,
        agents=(Drive("x", beats, style.gap), Accept("y", style.stall)),
        until={"y": count},
        judge=judge,
        transactions=count,
        max_cycles=500 + 12 * count,
        seed=seed,
        reset_after=("x", count // 2) if style.reset else None,
    )


def _operands(rng: np.random.Generator, style: Style, lanes: int) -> Int:
    if style.name == "corners":
        return rng.choice(EXTREMES, (lanes, 1))
    return rng.integers(-128, 128, (lanes, 1))


def _params(rng: np.random.Generator) -> tuple[RequantParams, RequantParams]:
    """The first operand's parameters, and the second's: a multiplier, and a bias and shift that must be ignored."""
    first, second = random_param(rng, OPERAND_BITS), random_param(rng, OPERAND_BITS)
    near = int(np.clip(first.mult + rng.integers(-200, 200), -(1 << 15), (1 << 15) - 1))
    return first, (RequantParams(near, second.bias, second.shift) if rng.random() < 0.5 else second)


def _payload(a: Int, b: Int, first: RequantParams, second: RequantParams) -> dict[str, int]:
    return {
        "a": column_words(a)[0],
        "b": column_words(b)[0],
        "first": encode_param(first),
        "second": encode_param(second),
    }


def _slow(seen: Observed) -> list[Mismatch]:
    """One beat a cycle, and each answered in time."""
    x, y = seen.transfers["x"], seen.transfers["y"]
    return late("x", x, [1] * len(x), "one beat a cycle") or slow_answer("y", x, y, LATENCY_LIMIT)
