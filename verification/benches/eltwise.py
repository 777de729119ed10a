"""Bench of `eltwise`: sums (also of wide operands), products, rotations; narrow and wide results, against golden ones.

Every beat has its own operation and parameters; operands and parameters are random, extreme, or at the edge of
saturation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwlib.numerics import RequantParams, add_requantize, join_planes, mul_requantize, rope, split_planes
from hwlib.numerics.eltwise import WIDE_MAX
from hwlib.numerics.requantize import encode_param
from verification.benches.row_blocks import (
    SHIFT_MAX,
    STYLES,
    Style,
    column_words,
    late,
    lower_param,
    random_param,
    slow_answer,
    upper_param,
)
from verification.benches.scenario import (
    Accept,
    Beat,
    Drive,
    Mismatch,
    Observed,
    Payload,
    Scenario,
    compare_stream,
    show,
)

Int = NDArray[np.int64]

LATENCY_LIMIT = 16
EXTREMES = (-128, -127, -1, 0, 1, 126, 127)
ADD, MULTIPLY, ROTATE = 0, 1, 2
OPERAND_BITS = {ADD: 8, MULTIPLY: 15, ROTATE: 16}
PLANE_BITS = 8
EXACT, SMALL = 0.15, 12
"""Share of the beats in which everything is so small that no bit of a result is lost, and how small operands are."""
CARRIED = 0xFFFF << 16
"""Bits of a bias that decide whether what is added carries into its upper part: all set, one or none, mostly."""


@dataclass(frozen=True)
class _Kind:
    """What one beat, or a pair of rotate, is asked for."""

    op: int
    wide: bool
    wide_out: bool

    @property
    def bits(self) -> int:
        """Bits by which results must shrink: what `u` has more than the result's plane or planes leave room for."""
        return OPERAND_BITS[self.op] + PLANE_BITS * (self.wide - self.wide_out)


KINDS = (
    *(_Kind(ADD, wide, wide_out) for wide in (False, True) for wide_out in (False, True)),
    _Kind(MULTIPLY, False, False),
    _Kind(ROTATE, False, False),
)


@dataclass
class _Stimulus:
    """Beats, their results, and for each beat the index of the last beat its result depends on."""

    beats: list[Beat]
    expected: list[Payload]
    needs: list[int]


def scenarios(point: Mapping[str, int], seed: int, transactions: int) -> list[Scenario]:
    """Full rate, corner values, heavy back-pressure, bubbles, and a reset between the beats of a pair."""
    count = max(48, -(-transactions // len(STYLES)))
    return [_scenario(style, point["T"], count, seed * len(STYLES) + index) for index, style in enumerate(STYLES)]


def _scenario(style: Style, lanes: int, count: int, seed: int) -> Scenario:
    rng = np.random.default_rng(seed)
    work = _Stimulus([], [], [])
    if style.reset:  # a pair at once shows whether half a pair before the reset is forgotten
        _append(rng, work, style, KINDS[-1], lanes)
    while len(work.beats) < count:
        for index in rng.permutation(len(KINDS)):
            _append(rng, work, style, KINDS[index], lanes)
    vectors = [show(beat.payload) for beat in work.beats]

    def judge(seen: Observed) -> list[Mismatch]:
        wrong = compare_stream("y", seen.transfers["y"], work.expected, vectors)
        return wrong or (_slow(seen, work.needs) if style.paced else [])

    return Scenario(
        name=style.name,
        agents=(Drive("x", work.beats, style.gap), Accept("y", style.stall)),
        until={"y": len(work.beats)},
        judge=judge,
        transactions=len(work.beats),
        max_cycles=500 + 12 * len(work.beats),
        seed=seed,
        reset_after=("x", _inside_pair(work.needs)) if style.reset else None,
    )


def _append(rng: np.random.Generator, work: _Stimulus, style: Style, kind: _Kind, lanes: int) -> None:
    """A beat, or a pair of rotate."""
    columns = 2 if kind.op == ROTATE else 1
    if rng.random() < EXACT:  # so that the last bit of all that is added shows
        a, high, b = (rng.integers(-most, most, (lanes, columns)) for most in (SMALL, 1, SMALL))
        first, second = lower_param(rng), lower_param(rng)
    else:
        a, high, b = (_operands(rng, style, lanes, columns) for _ in range(3))
        first, second = _params(rng, style, kind)
    low_plane, high_plane = _result(kind, a, high, b, first, second)
    last = len(work.beats) + columns - 1
    for words in zip(*(column_words(x) for x in (a, high, b, low_plane, high_plane)), strict=True):
        payload = dict(zip(("a", "high", "b"), words, strict=False))
        payload |= {"op": kind.op, "wide": int(kind.wide), "wide_out": int(kind.wide_out)}
        work.beats.append(Beat(payload | {"first": encode_param(first), "second": encode_param(second)}))
        work.expected.append({"data": words[3], "high": words[4]})
        work.needs.append(last)


def _result(kind: _Kind, a: Int, high: Int, b: Int, first: RequantParams, second: RequantParams) -> tuple[Int, Int]:
    """(low, high) planes of the golden result; high is 0 unless wide_out."""
    if kind.op == ADD:
        value = add_requantize(join_planes(a, high) if kind.wide else a, b, first, second, kind.wide_out)
    else:
        value = (mul_requantize if kind.op == MULTIPLY else rope)(a, b, first)
    return split_planes(value) if kind.wide_out else (value, np.zeros_like(value))


def _inside_pair(needs: list[int]) -> int:
    """A number of accepted beats, about half, after which the odd beat of a pair is still to come."""
    return next(index for index in range(len(needs) // 3, len(needs)) if needs[index] > index) + 1


def _operands(rng: np.random.Generator, style: Style, lanes: int, columns: int) -> Int:
    if style.name == "corners":
        return rng.choice(EXTREMES, (lanes, columns))
    return rng.integers(-128, 128, (lanes, columns))


def _params(rng: np.random.Generator, style: Style, kind: _Kind) -> tuple[RequantParams, RequantParams]:
    """The first operand's parameters, and the second's: a multiplier, and a bias and shift that must be ignored."""
    first, second = random_param(rng, kind.bits), random_param(rng, kind.bits)
    if rng.random() < (0.6 if style.name == "corners" else 0.35):
        return _edge_param(rng, kind), RequantParams(int(rng.choice([0, 0, -1, 2])), second.bias, second.shift)
    near = int(np.clip(first.mult + rng.integers(-200, 200), -(1 << 15), (1 << 15) - 1))
    return first, (RequantParams(near, second.bias, second.shift) if rng.random() < 0.5 else second)


def _edge_param(rng: np.random.Generator, kind: _Kind) -> RequantParams:
    """Parameters that leave u as it is, bring it by their bias to the edge of saturation, set one bit of the sum, or
    show the sum's upper bits: a large bias and shift, and any multiplier."""
    if rng.random() < 0.6:
        upper = upper_param(rng)
        some = int(rng.choice([0, CARRIED, 0x80 << 16, 1 << int(rng.integers(16, 32))]))
        bias = upper.bias if rng.random() < 0.3 else upper.bias & ~CARRIED | some
        return RequantParams(upper.mult, bias, upper.shift)
    if rng.random() < 0.3:
        bias = int(rng.choice([-1, 1])) << int(rng.integers(0, 39))
        return RequantParams(0, bias, int(rng.integers(1, SHIFT_MAX + 1)))
    shift = int(rng.integers(1, 14))
    edge = (WIDE_MAX if kind.wide_out else 128) * int(rng.choice([-1, 0, 1]))
    halves = int(rng.integers(-2, 3))
    return RequantParams(int(rng.choice([-1, 0, 0, 1])) << shift, (2 * edge + halves) << (shift - 1), shift)


def _slow(seen: Observed, needs: list[int]) -> list[Mismatch]:
    """One beat a cycle, and each answered in time, of a pair counted from its odd beat."""
    x, y = seen.transfers["x"], seen.transfers["y"]
    causes = [x[index] for index in needs]
    return late("x", x, [1] * len(x), "one beat a cycle") or slow_answer("y", causes, y, LATENCY_LIMIT)
