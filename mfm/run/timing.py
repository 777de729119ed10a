"""How long an instruction occupies its engine: formulas with constants a design's manifest may calibrate.

The constants are named in `DEFAULTS`; `manifest.timing` overrides any of them, and `mfm.run.calibrate` measures them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from hwlib import isa
from hwlib.design import Manifest
from hwlib.errors import InputError


@dataclass(frozen=True)
class Timing:
    """Cycle constants of a design.

    fetch: request to data of the program fetch, beyond the memory's latency; fetch_group: instructions a request;
    fetch_window: instructions asked for and not yet decoded; read_backlog: beats of load data that may be queued
    before a fetch; issue: decoded to offered; retire: done pulse to a waiting instruction's issue.
    matrix_start: issue to first array beat; matrix_gap: idle beats between back-to-back GEMMs;
    matrix_beat: cycles an array beat; matrix_tile: extra cycles a tile; matrix_done: last beat to done, beyond the T columns of the drain.
    matrix_act: extra cycles from last beat to done with ACT.
    softmax_block, layernorm_block, add_block: cycles a row-block beyond its columns; *_column: cycles a column, all passes;
    *_word: further cycles a word of the row-block; vector_start: issue to first; vector_done: last to done.
    load_start: issue to first beat beyond the memory's latency; load_gap: between back-to-back LOADs;
    load_exposed: share of the memory latency in that gap; load_row: extra a row; load_burst: extra a burst;
    load_done: last beat to done. store_*: the same.
    """

    fetch: float = 4.0
    fetch_group: float = 4.0
    fetch_window: float = 8.0
    read_backlog: float = 128.0
    issue: float = 4.0
    retire: float = 2.0
    matrix_start: float = 6.0
    matrix_gap: float = 4.0
    matrix_beat: float = 1.0
    matrix_tile: float = 0.0
    matrix_done: float = 24.0
    matrix_act: float = 0.0
    softmax_block: float = 64.0
    softmax_column: float = 2.0
    softmax_word: float = 0.0
    layernorm_block: float = 128.0
    layernorm_column: float = 2.0
    layernorm_word: float = 0.0
    add_block: float = 16.0
    add_column: float = 1.0
    add_word: float = 1.0
    vector_start: float = 8.0
    vector_done: float = 16.0
    load_start: float = 6.0
    load_gap: float = 4.0
    load_exposed: float = 0.0
    load_row: float = 0.0
    load_burst: float = 0.0
    load_done: float = 4.0
    store_start: float = 8.0
    store_gap: float = 4.0
    store_exposed: float = 1.0
    store_row: float = 0.0
    store_burst: float = 0.0
    store_done: float = 4.0


NAMES = tuple(f.name for f in fields(Timing))


def timing_of(manifest: Manifest) -> Timing:
    """The constants of `manifest`. Raises InputError for a name that is not one."""
    unknown = sorted(set(manifest.timing) - set(NAMES))
    if unknown:
        raise InputError(f"unknown timing constant '{unknown[0]}'", manifest.name, f"use some of {', '.join(NAMES)}")
    return Timing(**manifest.timing)


@dataclass(frozen=True)
class Cost:
    """Cycles of one instruction: `start` from issue to work, `work` occupying the engine, `done` from work's end to retirement.

    gap: from the previous instruction's work to this one's when both are ready.
    """

    start: float
    work: float
    done: float
    gap: float


class CostModel:
    """Instruction costs on a manifest behind a memory of `latency` cycles."""

    def __init__(self, manifest: Manifest, latency: int = 20) -> None:
        self.manifest, self.timing, self.latency = manifest, timing_of(manifest), latency

    def cost(self, op: str, operands: Mapping[str, int], flags: frozenset[str]) -> Cost:
        """The cost of one engine instruction."""
        engine = isa.BY_NAME[op].engine
        if engine is isa.Engine.MATRIX:
            return self._matrix(operands, flags)
        if engine is isa.Engine.VECTOR:
            return self._vector(op, operands)
        return self._transfer("load" if op == "LOAD" else "store", operands)

    def _matrix(self, v: Mapping[str, int], flags: frozenset[str]) -> Cost:
        t, p = self.timing, self.manifest.parameters
        drain = p["T"] * p["T"] / p["ACT_LANES"] if "ACT" in flags else p["T"]
        floor = 0.0 if "HOLD" in flags else drain
        tile = max(v["k_words"] * t.matrix_beat + t.matrix_tile, floor)
        last = v["k_words"] * t.matrix_beat + t.matrix_tile
        work = tile * (v["m_tiles"] * v["n_tiles"] - 1) + last
        done = 1.0 if "HOLD" in flags else t.matrix_done + drain + (t.matrix_act if "ACT" in flags else 0.0)
        return Cost(t.matrix_start, work, done, t.matrix_gap + max(0.0, floor - last))

    def _vector(self, op: str, v: Mapping[str, int]) -> Cost:
        t, name = self.timing, op.lower()
        words = -(-v["cols"] // self.manifest.dot)
        block = (
            getattr(t, f"{name}_block") + getattr(t, f"{name}_column") * v["cols"] + getattr(t, f"{name}_word") * words
        )
        return Cost(t.vector_start, v["row_blocks"] * block, t.vector_done, t.vector_start)

    def _transfer(self, kind: str, v: Mapping[str, int]) -> Cost:
        t, axi = self.timing, self.manifest.parameters["AXI_BYTES"]
        row_beats = v["row_words"] * self.manifest.word_bytes // axi
        bursts = -(-row_beats // BURST_BEATS)
        per_row = row_beats + getattr(t, f"{kind}_row") + bursts * getattr(t, f"{kind}_burst")
        gap = getattr(t, f"{kind}_gap") + getattr(t, f"{kind}_exposed") * self.latency
        extra = self.latency if kind == "load" else 0
        done = getattr(t, f"{kind}_done") + (self.latency if kind == "store" else 0)
        return Cost(getattr(t, f"{kind}_start") + extra, v["rows"] * per_row, done, gap)


BURST_BEATS = 64
