"""Decides where and when panels are in local storage: allocation with liveness, loads, spills.

Steps are taken in order. A panel that is not there when a step needs it gets the place whose taking costs
least: the stall until that place is free long enough ago for a load to be done in time, plus the
traffic of bringing back what is evicted (Belady 1966, with the evicted panel's next use known, extended by the
look-ahead that double-buffering needs).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from hwlib import isa
from hwlib.design import Manifest
from hwlib.errors import InputError
from mfm.program.effects import TABLE_BYTES, Store, capacity, entries_per_word
from mfm.run.timing import CostModel
from mfm.schedule.panels import Panel, Step

Units = NDArray[np.int64]
Float = NDArray[np.float64]

NEVER = float("inf")
RELOAD_WEIGHT = 0.5
"""A cycle of extra traffic against a cycle of stall: the bus is seldom the bottleneck."""


NEAR = 2e4
"""Cycles to its next use at which evicting a panel costs one reload more."""
WINDOW = 8192
"""Units up to which windows are gathered, beyond which they are views."""
SMALL = 32
"""Panels below this share of the storage may lie anywhere."""


@dataclass(frozen=True)
class Event:
    """One instruction with its addresses, in an order that is correct if executed one by one."""

    op: str
    operands: dict[str, int]
    flags: frozenset[str]
    layer: str


class _Place:
    """One local storage: who is where, when each unit was last touched and is next used."""

    def __init__(self, size: int, align: int) -> None:
        self.size, self.align = size, align
        self.start: dict[Panel, int] = {}
        self.touched = np.full(size, -1e9)
        self.next_use = np.full(size, NEVER)
        self.reload = np.zeros(size)

    def span(self, panel: Panel) -> slice:
        first = self.start[panel]
        return slice(first, first + panel.size)

    def overlapping(self, low: int, high: int) -> list[Panel]:
        return [p for p, s in self.start.items() if s < high and s + p.size > low]

    def candidates(self, need: int) -> Units:
        """First units worth trying: whole slots for large panels, so that equal ones share them; else against edges.

        All start at a multiple of `align`: two operands whose banks keep their distance lose at most one cycle to it.
        """
        if need * SMALL >= self.size:
            return np.arange(0, self.size - need + 1, -(-need // self.align) * self.align)
        edges = self.edges(need)
        return np.unique(edges // self.align) * self.align

    def edges(self, need: int) -> Units:
        """Places against either side of every resident panel and of the storage."""
        edges = {0, self.size - need}
        for panel, start in self.start.items():
            end = start + -(-panel.size // self.align) * self.align
            edges |= {start, end, start - need, end - need, start + panel.size}
        return np.array(sorted(e for e in edges if 0 <= e <= self.size - need), dtype=np.int64)

    def windows(self, starts: Units, need: int) -> tuple[Float, Float, Float]:
        """For `need` units from each start: soonest next use, latest touch, cycles to bring back what is there."""
        where = starts[:, None] + np.arange(need) if len(starts) * need <= WINDOW else None
        low, recent, reload = (
            values[where] if where is not None else sliding_window_view(values, need)[starts]
            for values in (self.next_use, self.touched, self.reload)
        )
        return low.min(axis=1), recent.max(axis=1), reload.sum(axis=1)

    def drop(self, panel: Panel) -> None:
        where = self.span(panel)
        self.next_use[where], self.reload[where] = NEVER, 0.0
        del self.start[panel]


def place_sizes(manifest: Manifest) -> dict[Store, int]:
    """Units of each storage as panels count them: local words, row-scale entries, tables."""
    each = entries_per_word(manifest)
    p = manifest.parameters
    return {
        Store.SCRATCHPAD: p["WORDS"],
        Store.MATRIX_PARAMS: p["MATRIX_PARAMS"] // each,
        Store.VECTOR_PARAMS: p["VECTOR_PARAMS"] // each,
        Store.TABLES: max(1, p["ACT_TABLES"] * TABLE_BYTES // table_bytes(manifest)),
        Store.ROW_SCALES: capacity(Store.ROW_SCALES, manifest),
    }


def table_bytes(manifest: Manifest) -> int:
    """Bytes a table occupies in its LOAD: whole local words."""
    return max(TABLE_BYTES, manifest.word_bytes)


class Residency:
    """One walk over the steps; `spilled` afterwards holds the panels that were stored only to make room."""

    def __init__(self, steps: Sequence[Step], manifest: Manifest) -> None:
        self.steps, self.manifest = steps, manifest
        self.costs = CostModel(manifest)
        self.places = {
            store: _Place(size, manifest.parameters["BANKS"] if store is Store.SCRATCHPAD else 1)
            for store, size in place_sizes(manifest).items()
        }
        self.events: list[Event] = []
        self.spilled: set[Panel] = set()
        self.uses: dict[Panel, list[int]] = defaultdict(list)
        self.last_write: dict[Panel, int] = {}
        self.clock = 0.0
        self.when = np.zeros(len(steps) + 1)
        self.in_memory: dict[Panel, bool] = {}
        self.started: set[Panel] = set()
        self._index()

    def _index(self) -> None:
        for t, step in enumerate(self.steps):
            cost = self.costs.cost(step.op, step.operands, step.flags)
            weight = 1.0 if step.op == "GEMM" else 0.25
            self.when[t + 1] = self.when[t] + weight * cost.work
            for panel in step.panels():
                self.uses[panel].append(t)
            for ref in step.refs.values():
                if ref.writes:
                    self.last_write[ref.panel] = t
        for panel in self.uses:
            self.in_memory[panel] = panel.filled
            self.uses[panel].reverse()

    def run(self) -> list[Event]:
        """The instructions of all steps with their loads and stores."""
        for t, step in enumerate(self.steps):
            self.clock = float(self.when[t])
            needed = list(step.panels())
            for panel in needed:
                self._pin(panel)
            for panel in needed:
                if panel not in self.places[panel.store].start:
                    self._bring(panel, step.layer)
            self.events.append(self._compute(step))
            self._after(t, step, needed)
        return self.events

    def _pin(self, panel: Panel) -> None:
        place = self.places[panel.store]
        if panel in place.start:
            place.next_use[place.span(panel)] = -1.0

    def _bring(self, panel: Panel, layer: str) -> None:
        place = self.places[panel.store]
        self._allocate(place, panel, layer)
        place.next_use[place.span(panel)] = -1.0
        if panel.filled or panel in self.started:
            self._transfer("LOAD", panel, layer)

    def _allocate(self, place: _Place, panel: Panel, layer: str) -> None:
        need = panel.size
        if need > place.size:
            raise self._too_small(panel, place)
        first = self._cheapest(place, panel, place.candidates(need))
        if first is None:
            first = self._cheapest(place, panel, place.edges(need))
        if first is None:
            raise self._too_small(panel, place)
        for victim in place.overlapping(first, first + need):
            self._evict(place, victim, layer)
        place.start[panel] = first

    def _cheapest(self, place: _Place, panel: Panel, starts: Units) -> int | None:
        """The cheapest of `starts` to take for `panel`; None if each holds something the step needs."""
        need = panel.size
        low, recent, reload = place.windows(starts, need)
        lead = 2 * self._load_cycles(panel) + 200 if panel.filled or panel in self.started else 0.0
        stall = np.maximum(0.0, lead - (self.clock - recent))
        soon = np.where(np.isinf(low), 0.0, np.minimum(reload * NEAR / np.maximum(low - self.clock, 1.0), 1e6))
        score = stall + RELOAD_WEIGHT * reload + soon + 1e-3 * np.maximum(recent - self.clock + 1e5, 0)
        if need * SMALL < place.size:
            score += np.arange(len(starts))[::-1] * 1e-6
        score = np.where(low < 0, NEVER, score)
        best = int(np.argmin(score))
        return None if np.isinf(score[best]) else int(starts[best])

    def _too_small(self, panel: Panel, place: _Place) -> InputError:
        name = {Store.SCRATCHPAD: "WORDS"}.get(panel.store, panel.store.name)
        return InputError(
            f"{panel.label} ({panel.size} units) and what is used with it do not fit {place.size}",
            f"{self.manifest.name}: {name}",
            "use a larger value or a smaller model",
        )

    def _evict(self, place: _Place, panel: Panel, layer: str) -> None:
        if not self.in_memory[panel]:
            if panel.home is None:
                raise self._too_small(panel, place)
            self.spilled.add(panel)
            self._transfer("STORE", panel, layer)
        place.drop(panel)

    def _load_cycles(self, panel: Panel) -> float:
        return panel.size * self.manifest.word_bytes / self.manifest.parameters["AXI_BYTES"]

    def _transfer(self, op: str, panel: Panel, layer: str) -> None:
        if panel.home is None:
            raise self._too_small(panel, self.places[panel.store])
        place = self.places[panel.store]
        operands = self._span_of(op, panel, place.start[panel])
        self.events.append(Event(op, operands, frozenset(), layer))
        place.touched[place.span(panel)] = self.clock
        self.in_memory[panel] = True

    def _span_of(self, op: str, panel: Panel, start: int) -> dict[str, int]:
        """Operands of a LOAD of `panel`, or of a STORE of what is changed in it, when it lies at `start`."""
        assert panel.home is not None
        size = self.manifest.word_bytes
        unit = table_bytes(self.manifest) // size if panel.store is Store.TABLES else 1
        part = panel.part if op == "STORE" else None
        row, rows, word, words = part or (0, panel.rows, 0, panel.row_words)
        local, pitch = panel.row_words, panel.pitch
        if rows == 1 or (words == local and pitch == local * size):
            rows, words, local, pitch = 1, rows * words * unit, 0, 0
        return {
            "dram_addr": panel.home.addr + panel.offset + row * panel.pitch + word * size,
            "local_addr": (start + row * panel.row_words + word) * unit,
            "rows": rows,
            "row_words": words,
            "dram_stride": pitch,
            "local_stride": local,
            "space": int(panel.store),
        }

    def _compute(self, step: Step) -> Event:
        addresses = {
            name: (self.places[ref.panel.store].start[ref.panel] + ref.offset) * ref.scale
            for name, ref in step.refs.items()
        }
        return Event(step.op, step.operands | addresses, step.flags, step.layer)

    def _after(self, t: int, step: Step, needed: list[Panel]) -> None:
        for ref in step.refs.values():
            if ref.writes:
                self.in_memory[ref.panel] = False
                self.started.add(ref.panel)
        for panel in needed:
            place = self.places[panel.store]
            self.uses[panel].pop()
            if panel.through and self.last_write.get(panel) == t:
                self._transfer("STORE", panel, step.layer)
            where = place.span(panel)
            place.touched[where] = self.when[t + 1]
            if not self.uses[panel]:
                place.drop(panel)
                continue
            place.next_use[where] = self.when[self.uses[panel][-1]]
            place.reload[where] = self._load_cycles(panel) / panel.size * (1 if self.in_memory[panel] else 2)


def residency(steps: Sequence[Step], manifest: Manifest) -> list[Event]:
    """Instructions of `steps` with loads and stores. Panels that had to be spilled are stored as soon as complete."""
    first = Residency(steps, manifest)
    events = first.run()
    late = [panel for panel in first.spilled if not panel.through]
    if not late:
        return events
    for panel in late:
        panel.through = True
    events = Residency(steps, manifest).run()
    for panel in late:
        panel.through = False
    return events


def engine_of(event: Event) -> isa.Engine:
    """The engine that runs `event`."""
    engine = isa.BY_NAME[event.op].engine
    if engine is None:
        raise ValueError(event.op)
    return engine
