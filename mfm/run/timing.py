"""How long an instruction occupies its engine: formulas with constants a design's manifest may calibrate.

The constants are named in `DEFAULTS`; `manifest.timing` overrides any of them, and `mfm.run.calibrate` measures them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from hwlib import isa
from hwlib.design import Manifest
from hwlib.errors import InputError
from mfm.program.effects import PAIRWISE, row_bytes


@dataclass(frozen=True)
class Timing:
    """Cycle constants of a design.

    fetch: request to data of the program fetch, beyond the memory's latency; fetch_group: instructions a request;
    fetch_window: instructions asked for and not yet decoded; read_backlog: beats of load data that may be queued
    before a fetch; issue: decoded to offered; retire: done pulse to a waiting instruction's issue.
    matrix_start: issue to first array beat; matrix_gap: idle beats between back-to-back GEMMs;
    matrix_beat: cycles an array beat; matrix_tile: extra cycles a tile; matrix_done: last beat to done, beyond
    the T columns of the drain and the writes of a tile after its first.
    matrix_act: extra cycles from last beat to done with ACT.
    softmax_*, layernorm_* (RMSNORM too), add_* (MUL and ROPE too): an instruction of r row-blocks and c columns works
    for fixed + column*c + (r-1) * max(column*c, block + share*c), the first row-block of softmax_* like the others; c
    counts whole words for add_*.
    add_wide: extra cycles of an instruction for int16 operands, and for int16 results.
    load_start: issue to first beat beyond the memory's latency; load_gap: between back-to-back LOADs; load_row: extra a
    row; load_done: last beat to done; load_depth: LOADs in progress at once; load_window: beats asked for at once.
    store_start: issue to first beat; store_done: last beat to done, beyond the memory's latency; the rest likewise.
    """

    fetch: float = 1.0
    fetch_group: float = 4.0
    fetch_window: float = 8.0
    read_backlog: float = 112.0
    issue: float = 4.0
    retire: float = 1.0
    matrix_start: float = 6.0
    matrix_gap: float = 0.0
    matrix_beat: float = 1.0
    matrix_tile: float = 0.0
    matrix_done: float = 8.0
    matrix_act: float = 1.0
    softmax_fixed: float = 11.0
    softmax_column: float = 2.0
    softmax_block: float = 16.0
    softmax_share: float = 1.0
    layernorm_fixed: float = 85.0
    layernorm_column: float = 2.0
    layernorm_block: float = 70.0
    layernorm_share: float = 2.0
    add_fixed: float = 14.0
    add_column: float = 1.0
    add_block: float = 0.0
    add_share: float = 1.0
    add_wide: float = 1.0
    load_start: float = 6.0
    load_gap: float = 5.0
    load_row: float = 0.0
    load_done: float = 4.0
    load_depth: float = 2.0
    load_window: float = 97.5
    store_start: float = 4.0
    store_gap: float = 4.0
    store_row: float = 0.0
    store_done: float = 2.0
    store_depth: float = 1.0
    store_window: float = 4096.0


NAMES = tuple(f.name for f in fields(Timing))
_BY_ENGINE = {isa.Engine.MATRIX: ("m_tiles", "n_tiles", "k_words"), isa.Engine.VECTOR: ("row_blocks", "cols")}
SIZES = {op.name: _BY_ENGINE.get(op.engine, ("rows", "row_words")) for op in isa.OPCODES if op.engine is not None}
"""The operands an instruction's cost depends on, with its flags."""


def timing_of(manifest: Manifest) -> Timing:
    """The constants of `manifest`. Raises InputError for a name that is not one."""
    unknown = sorted(set(manifest.timing) - set(NAMES))
    if unknown:
        raise InputError(f"unknown timing constant '{unknown[0]}'", manifest.name, f"use some of {', '.join(NAMES)}")
    return Timing(**manifest.timing)


@dataclass(frozen=True)
class Cost:
    """Cycles of one instruction: `start` from issue to work, `work` in the engine, `done` from then to retirement.

    gap: from the previous instruction's work to this one's when both are ready.
    """

    start: float
    work: float
    done: float
    gap: float


def later_writes(manifest: Manifest) -> int:
    """Scratchpad writes of an output tile after the first."""
    return max(1, manifest.tile // manifest.dot) - 1


class CostModel:
    """Instruction costs on a manifest behind a memory of `latency` cycles."""

    def __init__(self, manifest: Manifest, latency: int = 20) -> None:
        self.manifest, self.timing, self.latency = manifest, timing_of(manifest), latency
        self._known: dict[tuple[object, ...], Cost] = {}

    def cost(self, op: str, operands: Mapping[str, int], flags: frozenset[str]) -> Cost:
        """The cost of one engine instruction."""
        key = (op, flags, *[operands[name] for name in SIZES[op]])
        if key not in self._known:
            self._known[key] = self._cost(op, operands, flags)
        return self._known[key]

    def _cost(self, op: str, operands: Mapping[str, int], flags: frozenset[str]) -> Cost:
        engine = isa.BY_NAME[op].engine
        if engine is isa.Engine.MATRIX:
            return self._matrix(operands, flags)
        if engine is isa.Engine.VECTOR:
            return self._vector(op, operands, flags)
        return self._transfer("load" if op == "LOAD" else "store", operands, flags)

    def _matrix(self, v: Mapping[str, int], flags: frozenset[str]) -> Cost:
        t, p = self.timing, self.manifest.parameters
        drain = p["T"] * p["T"] / p["ACT_LANES"] if "ACT" in flags else p["T"]
        floor = 0.0 if "HOLD" in flags else drain
        tile = max(v["k_words"] * t.matrix_beat + t.matrix_tile, floor)
        last = v["k_words"] * t.matrix_beat + t.matrix_tile
        work = tile * (v["m_tiles"] * v["n_tiles"] - 1) + last
        done = t.matrix_done + drain + later_writes(self.manifest) + (t.matrix_act if "ACT" in flags else 0.0)
        if "HOLD" in flags:
            done = 1.0
        return Cost(t.matrix_start, work, done, t.matrix_gap + max(0.0, floor - last))

    def _vector(self, op: str, v: Mapping[str, int], flags: frozenset[str]) -> Cost:
        t, dot = self.timing, self.manifest.dot
        name = {"RMSNORM": "layernorm", "MUL": "add", "ROPE": "add"}.get(op, op.lower())
        cols = -(-v["cols"] // dot) * dot if op in PAIRWISE else v["cols"]
        column, share = getattr(t, f"{name}_column"), getattr(t, f"{name}_share")
        if op in PAIRWISE:
            read = 3 if "WIDE" in flags else 2
            column, share = max(column, read / dot), max(share, read / dot)
        once = column * cols
        fixed = getattr(t, f"{name}_fixed") + t.add_wide * len(flags & {"WIDE", "WIDE_OUT"})
        more = max(once, getattr(t, f"{name}_block") + share * cols)
        first = more if op == "SOFTMAX" else once
        return Cost(0.0, fixed + first + (v["row_blocks"] - 1) * more, 0.0, 0.0)

    def _transfer(self, kind: str, v: Mapping[str, int], flags: frozenset[str]) -> Cost:
        t, axi = self.timing, self.manifest.parameters["AXI_BYTES"]
        start, done = getattr(t, f"{kind}_start"), getattr(t, f"{kind}_done")
        beat = max(1.0, (self.latency + start) / getattr(t, f"{kind}_window"))
        if "COMPACT" in flags and axi == self.manifest.word_bytes:
            beat = max(2.0, beat)
        row = row_bytes(v, flags, self.manifest.parameters) / axi * beat
        row = max(row, v["row_words"] if "SPREAD" in flags else 0.0) + getattr(t, f"{kind}_row")
        begin, end = (start + self.latency, done) if kind == "load" else (start, done + self.latency)
        return Cost(begin, v["rows"] * row, end, getattr(t, f"{kind}_gap"))

    def depth(self, engine: isa.Engine) -> int:
        """Instructions the engine has in progress at once; 0: as many as come."""
        if engine is isa.Engine.MATRIX:
            return 0
        return 1 if engine is isa.Engine.VECTOR else round(getattr(self.timing, f"{engine.name.lower()}_depth"))
