"""Bench of `activation`: every entry of every table, passed values, and both mixed, against the tables written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwlib.numerics import apply_table
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

EXTREMES = (-128, -1, 0, 127)
ENTRIES = 256
ADDRESS_BITS = 16
START_CYCLES = 16


@dataclass(frozen=True)
class _Style:
    """How scenarios differ: share of looked-up beats, all entries in order, gap, stall, reset, tables written twice."""

    name: str
    looked_up: float
    every_entry: bool = False
    gap: float = 0.0
    stall: float = 0.0
    reset: bool = False
    rewritten: bool = False


@dataclass(frozen=True)
class _Request:
    """One x beat: values [T] (int8), look-up or not, and the table."""

    x: Int
    en: bool
    table: int

    def payload(self) -> Payload:
        return {"data": _bits(self.x), "en": int(self.en), "table": self.table}


STYLES = (
    _Style("pass-full-rate", 0.0),
    _Style("table-full-rate", 1.0),
    _Style("every-entry", 1.0, every_entry=True, stall=0.1),
    _Style("mixed", 0.5, gap=0.3, stall=0.4),
    _Style("rewritten", 0.7, gap=0.1, stall=0.2, rewritten=True),
    _Style("reset", 0.5, gap=0.2, stall=0.3, reset=True),
)


def scenarios(point: Mapping[str, int], seed: int, transactions: int) -> list[Scenario]:
    """Both rates, every entry, mixed order with back-pressure, tables written again, and a reset in mid-flight."""
    count = max(20, -(-transactions // len(STYLES)))
    return [_scenario(style, point, count, seed * len(STYLES) + index) for index, style in enumerate(STYLES)]


def _scenario(style: _Style, point: Mapping[str, int], count: int, seed: int) -> Scenario:
    rng = np.random.default_rng(seed)
    tables = [rng.integers(-128, 128, (point["TABLES"], ENTRIES)) for _ in range(2 if style.rewritten else 1)]
    writes: list[Beat] = []
    drives: list[Beat] = []
    expected: list[dict[str, int]] = []
    for content in tables:
        writes += _table_writes(rng, content, point, after=len(expected))
        requests = _requests(rng, style, point, count)
        expected += [{"data": _bits(_golden(r, content))} for r in requests]
        drives += [Beat(r.payload(), after=(("tab", len(writes)),)) for r in requests]
    vectors = [show(beat.payload) for beat in drives]
    rate = 1 if style.looked_up == 0 else point["T"] // point["LANES"]

    def judge(seen: Observed) -> list[Mismatch]:
        wrong = compare_stream("y", seen.transfers["y"], expected, vectors)
        return wrong or (_slow(seen, len(expected), rate) if style.name.endswith("full-rate") else [])

    return Scenario(
        name=style.name,
        agents=(Drive("tab", writes, style.gap), Drive("x", drives, style.gap), Accept("y", style.stall)),
        until={"y": len(expected)},
        judge=judge,
        transactions=len(expected),
        max_cycles=1000 + 4 * len(writes) + (8 + 3 * point["T"] // point["LANES"]) * len(expected),
        seed=seed,
        reset_after=("x", count // 3) if style.reset else None,
    )


def _table_writes(rng: np.random.Generator, content: Int, point: Mapping[str, int], after: int) -> list[Beat]:
    """Writes of every word in random order, then some past the end that must change nothing, each high address bit
    set once over a word of the tables."""
    size = point["T"] * point["D"]
    space = content.astype(np.int8).tobytes()
    space += bytes(-len(space) % size)
    words = len(space) // size
    beats = [(int(w), space[w * size : (w + 1) * size]) for w in rng.permutation(words)]
    past = [1 << bit | int(rng.integers(0, words)) for bit in range((words - 1).bit_length(), ADDRESS_BITS)]
    beats += [(addr, rng.bytes(size)) for addr in (words, words + 3, *past)]
    wait = (("y", after),) if after else ()
    return [Beat({"addr": addr, "data": int.from_bytes(data, "little")}, after=wait) for addr, data in beats]


def _requests(rng: np.random.Generator, style: _Style, point: Mapping[str, int], count: int) -> list[_Request]:
    if style.every_entry:
        order = np.arange(-128, 128).reshape(-1, point["T"])
        return [_Request(x, True, t) for t in range(point["TABLES"]) for x in order]
    return [
        _Request(
            rng.choice(EXTREMES, point["T"]) if rng.random() < 0.1 else rng.integers(-128, 128, point["T"]),
            bool(rng.random() < style.looked_up),
            int(rng.integers(0, point["TABLES"])),
        )
        for _ in range(count)
    ]


def _golden(request: _Request, content: Int) -> Int:
    return apply_table(request.x, content[request.table]) if request.en else request.x


def _bits(values: Int) -> int:
    return int.from_bytes(values.astype(np.int8).tobytes(), "little")


def _slow(seen: Observed, beats: int, rate: int) -> list[Mismatch]:
    taken = [s.cycle for s in seen.transfers["x"]]
    cycles = taken[-1] - taken[0]
    if cycles <= beats * rate + START_CYCLES:
        return []
    want = f"{beats} beats at one in {rate} cycles"
    return [Mismatch("x", beats - 1, taken[-1], want, f"{cycles} cycles", "full rate, no refusal")]
