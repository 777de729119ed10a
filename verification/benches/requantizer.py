"""Bench of `requantizer`: typical, extreme and exactly-half values against :func:`hwlib.numerics.requantize`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwlib.numerics import requantize
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
)  # fmt: skip

Int = NDArray[np.int64]

BIAS_MIN, BIAS_MAX = -(1 << 39), (1 << 39) - 1
START_CYCLES = 8


@dataclass(frozen=True)
class _Request:
    """One x beat: x, mult and shift of each lane [T], and the bias of all."""

    x: Int
    mult: Int
    shift: Int
    bias: int

    def payload(self) -> Payload:
        return {
            "data": _bits(self.x, 32),
            "mult": _bits(self.mult, 16),
            "shift": _bits(self.shift, 6),
            "bias": self.bias & (1 << 40) - 1,
        }


def scenarios(point: Mapping[str, int], seed: int, transactions: int) -> list[Scenario]:
    """Full rate, bubbles and back-pressure, corner values, rounding ties, and a reset in mid-flight."""
    plans: tuple[tuple[str, _Source, float, float], ...] = (
        ("full-rate", _typical, 0.0, 0.0),
        ("bubbles", _typical, 0.3, 0.4),
        ("corners", _corner, 0.1, 0.1),
        ("halves", _half, 0.0, 0.3),
        ("wide", _uniform, 0.2, 0.0),
        ("reset", _typical, 0.2, 0.3),
    )
    count = max(20, -(-transactions // len(plans)))
    return [
        _scenario(name, source, gap, stall, point["T"], count, seed * len(plans) + index)
        for index, (name, source, gap, stall) in enumerate(plans)
    ]


_Source = Callable[[np.random.Generator, int], _Request]


def _scenario(name: str, source: _Source, gap: float, stall: float, lanes: int, count: int, seed: int) -> Scenario:
    rng = np.random.default_rng(seed)
    requests = [source(rng, lanes) for _ in range(count)]
    expected = [{"data": _bits(requantize(r.x, r.mult, np.array(r.bias), r.shift), 8)} for r in requests]
    vectors = [show(r.payload()) for r in requests]

    def judge(seen: Observed) -> list[Mismatch]:
        wrong = compare_stream("y", seen.transfers["y"], expected, vectors)
        return wrong or (_slow(seen, count) if name == "full-rate" else [])

    return Scenario(
        name=name,
        agents=(Drive("x", [Beat(r.payload()) for r in requests], gap), Accept("y", stall)),
        until={"y": count},
        judge=judge,
        transactions=count,
        max_cycles=500 + 10 * count,
        seed=seed,
        reset_after=("x", count // 3) if name == "reset" else None,
    )


def _typical(rng: np.random.Generator, lanes: int) -> _Request:
    """Results mostly inside or just outside int8."""
    x = _signed(rng, 32, lanes)
    mult = _signed(rng, 16, lanes)
    size = np.ceil(np.log2(np.abs(x * mult) + 1)).astype(np.int64)
    shift = np.clip(size - rng.integers(5, 10, lanes), 1, 47)
    reach = int(min(38, shift.min() + 7))
    return _Request(x, mult, shift, int(rng.integers(-(1 << reach), 1 << reach)))


def _uniform(rng: np.random.Generator, lanes: int) -> _Request:
    x, mult = rng.integers(-(1 << 31), 1 << 31, lanes), rng.integers(-(1 << 15), 1 << 15, lanes)
    return _Request(x, mult, rng.integers(1, 48, lanes), int(rng.integers(BIAS_MIN, BIAS_MAX + 1)))


def _corner(rng: np.random.Generator, lanes: int) -> _Request:
    x = rng.choice(np.array([-(1 << 31), (1 << 31) - 1, -1, 0, 1, 128, -129]), lanes)
    mult = rng.choice(np.array([-(1 << 15), (1 << 15) - 1, -1, 0, 1]), lanes)
    shift = rng.choice(np.array([1, 2, 8, 16, 31, 32, 33, 39, 46, 47]), lanes)
    return _Request(x, mult, shift, int(rng.choice(np.array([BIAS_MIN, BIAS_MAX, -1, 0, 1]))))


def _half(rng: np.random.Generator, lanes: int) -> _Request:
    """Sums at, one above and one below an exact half, over and beyond the int8 range."""
    shift = int(rng.integers(1, 30))
    x, mult = _signed(rng, 16, lanes), rng.choice(np.array([-1, 1, 1 << shift if shift < 15 else 1]), lanes)
    target = (2 * int(rng.integers(-133, 133)) + 1) * (1 << (shift - 1)) + int(rng.integers(-1, 2))
    x[1:], mult[1:] = x[0], mult[0]
    return _Request(x, mult, np.full(lanes, shift), int(np.clip(target - x[0] * mult[0], BIAS_MIN, BIAS_MAX)))


def _signed(rng: np.random.Generator, bits: int, count: int) -> Int:
    """Values of random magnitude, so that small and large are equally likely."""
    return rng.integers(-(1 << 62), 1 << 62, count) >> rng.integers(63 - bits, 62, count)


def _bits(values: Int, width: int) -> int:
    """Signed `values` in order, `width` bits each, the first lowest."""
    return sum((int(v) & (1 << width) - 1) << width * i for i, v in enumerate(values))


def _slow(seen: Observed, beats: int) -> list[Mismatch]:
    cycles = seen.transfers["x"][-1].cycle + 1
    if cycles <= beats + START_CYCLES:
        return []
    return [Mismatch("x", beats - 1, cycles, f"{beats} beats in {beats} cycles", f"{cycles} cycles", "full rate")]
