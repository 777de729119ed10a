"""Decides where and when panels are in local storage: allocation with liveness, loads, spills.

Steps are taken in order. A panel that is not there when a step needs it gets the place whose taking costs
least: the stall until that place is free long enough ago for a load to be done in time, plus the
traffic of bringing back what is evicted (Belady 1966, with the evicted panel's next use known, extended by the
look-ahead that double-buffering needs).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
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
STATES, STRIDE = 16, 64
"""States a walk is resumed from: at most how many are kept, and at least how many steps apart."""
SMALL = 32
"""Panels below this share of the storage may lie anywhere."""


class Event(NamedTuple):
    """One instruction with its addresses, in an order that is correct if executed one by one."""

    op: str
    operands: dict[str, int]
    flags: frozenset[str]
    layer: str


class _Place:
    """One local storage: who is where, when each unit was last touched and is next used.

    The arrays have one unit more than the storage, which nobody takes, so that a window may end at the last.
    """

    def __init__(self, size: int, align: int) -> None:
        self.size, self.align = size, align
        self.where: dict[Panel, slice] = {}
        self.cost: dict[Panel, float] = {}
        self.touched = np.full(size + 1, -1e9)
        self.next_use = np.full(size + 1, NEVER)
        self.reload = np.zeros(size + 1)
        self.ties: Float = np.zeros(0)

    def copy(self) -> _Place:
        """The same state, which no longer changes with this one's."""
        made = copy(self)
        made.where, made.cost = dict(self.where), dict(self.cost)
        made.touched, made.next_use, made.reload = self.touched.copy(), self.next_use.copy(), self.reload.copy()
        return made

    def overlapping(self, low: int, high: int) -> list[Panel]:
        return [p for p, s in self.where.items() if s.start < high and s.stop > low]

    def candidates(self, need: int) -> Units:
        """First units worth trying: whole slots for large panels, so that equal ones share them; else against edges.

        All start at a multiple of `align`: two operands whose banks keep their distance lose at most one cycle to it.
        """
        if need * SMALL >= self.size:
            return np.arange(0, self.size - need + 1, -(-need // self.align) * self.align)
        return _distinct(self._edges(need) // self.align) * self.align

    def edges(self, need: int) -> Units:
        """Places against either side of every resident panel and of the storage."""
        return _distinct(self._edges(need))

    def _edges(self, need: int) -> Units:
        if not self.where:
            return np.array([0, self.size - need])
        low = np.array([s.start for s in self.where.values()])
        high = np.array([s.stop for s in self.where.values()])
        end = low + -(-(high - low) // self.align) * self.align
        found = np.concatenate(([0, self.size - need], low, end, low - need, end - need, high))
        return found[(found >= 0) & (found <= self.size - need)]

    def windows(self, starts: Units, need: int) -> tuple[Float, Float, Float]:
        """For `need` units from each start: soonest next use, latest touch, cycles to bring back what is there."""
        bounds = np.empty(2 * len(starts), dtype=np.int64)
        bounds[::2], bounds[1::2] = starts, starts + need
        low = np.minimum.reduceat(self.next_use, bounds)[::2]
        return low, np.maximum.reduceat(self.touched, bounds)[::2], np.add.reduceat(self.reload, bounds)[::2]

    def order(self, count: int) -> Float:
        """What decides between `count` places that cost the same: the last."""
        if count > len(self.ties):
            self.ties = np.linspace(2e-6 * count, 0.0, 2 * count, endpoint=False)
        return self.ties[len(self.ties) - count :]

    def put(self, panel: Panel, first: int) -> None:
        self.where[panel] = slice(first, first + panel.size)

    def bring_back(self, panel: Panel, cost: float) -> None:
        """Bringing `panel` back would take `cost` cycles a unit."""
        if self.cost.get(panel) != cost:
            self.cost[panel] = cost
            self.reload[self.where[panel]] = cost

    def drop(self, panel: Panel) -> None:
        where = self.where.pop(panel)
        self.next_use[where], self.reload[where] = NEVER, 0.0
        self.cost.pop(panel, None)


def _distinct(values: Units) -> Units:
    """The distinct `values`, sorted."""
    values.sort()
    return values[np.concatenate(([True], values[1:] != values[:-1]))]


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


class Hopeless(Exception):
    """A schedule that cannot be done in the cycles it may take; events: instructions made before that was known."""

    def __init__(self, events: int) -> None:
        super().__init__(events)
        self.events = events


class _Outline:
    """What of a schedule does not depend on where panels are: who is used when, what work is left.

    uses: steps that use a panel; last_write: the last that writes it; when: cycles before each step, roughly;
    left: array cycles at least from each step to the end.
    """

    def __init__(self, steps: Sequence[Step], costs: CostModel) -> None:
        self.uses: dict[Panel, list[int]] = defaultdict(list)
        self.last_write: dict[Panel, int] = {}
        self.when, self.left = [0.0], [0.0] * (len(steps) + 1)
        works = [costs.cost(step.op, step.operands, step.flags).work for step in steps]
        for t, (step, work) in enumerate(zip(steps, works, strict=True)):
            self.when.append(self.when[t] + (1.0 if step.op == "GEMM" else 0.25) * work)
            for panel in step.panels:
                self.uses[panel].append(t)
            for panel in step.written:
                self.last_write[panel] = t
        for t in range(len(steps) - 1, -1, -1):
            self.left[t] = self.left[t + 1] + (works[t] if steps[t].op == "GEMM" else 0.0)


@dataclass
class _State:
    """A walk before step `t`.

    used: steps that have used a panel; loaded: cycles of all loads so far.
    """

    t: int
    places: dict[Store, _Place]
    used: dict[Panel, int]
    in_memory: dict[Panel, bool]
    started: set[Panel]
    events: list[Event]
    loaded: float

    def copy(self) -> _State:
        """The same state, which no longer changes with this one's."""
        places = {store: place.copy() for store, place in self.places.items()}
        events, used, in_memory = list(self.events), dict(self.used), dict(self.in_memory)
        return _State(self.t, places, used, in_memory, set(self.started), events, self.loaded)


class Residency:
    """Walks over the steps; `spilled` afterwards holds the panels that were stored only to make room.

    most: cycles that the schedule may take; Hopeless is raised as soon as its loads and the work that waits for them
    take longer.
    """

    def __init__(
        self, steps: Sequence[Step], manifest: Manifest, latency: int = 20, most: float = float("inf")
    ) -> None:
        self.steps, self.manifest, self.most = steps, manifest, most
        self.costs = CostModel(manifest, latency)
        self.word_cycles = manifest.word_bytes / manifest.parameters["AXI_BYTES"]
        self.outline = _Outline(steps, self.costs)
        self.spilled: set[Panel] = set()
        self.clock = 0.0
        places = {
            store: _Place(size, manifest.parameters["BANKS"] if store is Store.SCRATCHPAD else 1)
            for store, size in place_sizes(manifest).items()
        }
        in_memory = {panel: panel.filled for panel in self.outline.uses}
        self._enter(_State(0, places, dict.fromkeys(self.outline.uses, 0), in_memory, set(), [], 0.0))
        self.kept: list[_State] = []

    def _enter(self, state: _State) -> None:
        self.state, self.places, self.events = state, state.places, state.events
        self.used, self.in_memory, self.started = state.used, state.in_memory, state.started

    def run(self) -> list[Event]:
        """The instructions of all steps with their loads and stores."""
        every = max(STRIDE, len(self.steps) // STATES)
        for t in range(self.state.t, len(self.steps)):
            if t % every == 0:
                self.state.t = t
                self.kept.append(self.state.copy())
            self._step(t, self.steps[t])
        return self.events

    def again(self, t: int) -> list[Event]:
        """As `run`, where only what happens from step `t` on may have changed."""
        self._enter(next(state for state in reversed(self.kept) if state.t <= t).copy())
        self.kept.clear()
        return self.run()

    def _step(self, t: int, step: Step) -> None:
        self.clock = self.outline.when[t]
        for panel in step.panels:
            self._pin(panel)
        for panel in step.panels:
            if panel not in self.places[panel.store].where:
                self._bring(panel, step.layer)
        if step.op == "GEMM" and self.state.loaded + self.outline.left[t] > self.most:
            raise Hopeless(len(self.events))
        self.events.append(self._compute(step))
        self._after(t, step)

    def _pin(self, panel: Panel) -> None:
        place = self.places[panel.store]
        where = place.where.get(panel)
        if where is not None:
            place.next_use[where] = -1.0

    def _bring(self, panel: Panel, layer: str) -> None:
        place = self.places[panel.store]
        self._allocate(place, panel, layer)
        place.next_use[place.where[panel]] = -1.0
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
        place.put(panel, first)

    def _cheapest(self, place: _Place, panel: Panel, starts: Units) -> int | None:
        """The cheapest of `starts` to take for `panel`; None if each holds something the step needs."""
        need = panel.size
        low, recent, reload = place.windows(starts, need)
        soon = np.minimum(reload * NEAR / np.maximum(low - self.clock, 1.0), 1e6)
        score = RELOAD_WEIGHT * reload + soon + 1e-3 * np.maximum(recent - (self.clock - 1e5), 0)
        if panel.filled or panel in self.started:
            score += np.maximum(0.0, 2 * self._load_cycles(panel) + 200 - self.clock + recent)
        if need * SMALL < place.size:
            score += place.order(len(starts))
        score[low < 0] = NEVER
        best = int(score.argmin())
        return None if score[best] == NEVER else int(starts[best])

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
        return panel.size * self._unit_cycles(panel)

    def _unit_cycles(self, panel: Panel) -> float:
        """Bus cycles of a unit of `panel`; of one that is looked up, local words come one row at a time."""
        if panel.looked_up:
            p = self.manifest.parameters
            return panel.looked_up[1] * max(1.0, p["D"] / p["AXI_BYTES"]) / panel.blocks
        return self.word_cycles / 2 if panel.compact else self.word_cycles

    def _transfer(self, op: str, panel: Panel, layer: str) -> None:
        if panel.home is None:
            raise self._too_small(panel, self.places[panel.store])
        place = self.places[panel.store]
        where = place.where[panel]
        flags = frozenset({"COMPACT"} if panel.compact else {"SPREAD"} if panel.looked_up else ())
        for operands in (
            self._rows_of(panel, where.start) if panel.looked_up else [self._span_of(op, panel, where.start)]
        ):
            if op == "LOAD":
                cost = self.costs.cost(op, operands, flags)
                self.state.loaded += cost.work + cost.gap
            self.events.append(Event(op, operands, flags, layer))
        place.touched[where] = self.clock
        self.in_memory[panel] = True

    def _rows_of(self, panel: Panel, start: int) -> list[dict[str, int]]:
        """Operands of a LOAD for each row that is looked up, when at `start`: a row a run chooses another for."""
        assert panel.home is not None
        assert panel.looked_up is not None
        (first, count, lane), tile = panel.looked_up, self.manifest.tile
        return [
            {
                "dram_addr": panel.home.addr + (first + r) * panel.pitch,
                "local_addr": start + (lane + r) // tile * panel.row_words,
                "rows": 1,
                "row_words": panel.row_words,
                "dram_stride": 0,
                "local_stride": 0,
                "space": int(panel.store),
                "lane": (lane + r) % tile,
            }
            for r in range(count)
        ]

    def _span_of(self, op: str, panel: Panel, start: int) -> dict[str, int]:
        """Operands of a LOAD of what is held of `panel`, or of a STORE of what is changed, when at `start`."""
        assert panel.home is not None
        size = self.manifest.word_bytes
        unit = table_bytes(self.manifest) // size if panel.store is Store.TABLES else 1
        part = panel.part if op == "STORE" else None if panel in self.started else panel.held
        row, rows, word, words = part or (0, panel.rows, 0, panel.row_words)
        local, pitch = panel.row_words, panel.pitch
        if rows == 1 or (words == local and pitch == local * size):
            rows, words, local, pitch = 1, rows * words * unit, 0, 0
        unspread = {"lane": 0} if op == "LOAD" else {}
        return unspread | {
            "dram_addr": panel.home.addr + panel.offset + row * panel.pitch + word * size,
            "local_addr": (start + row * panel.row_words + word) * unit,
            "rows": rows,
            "row_words": words // 2 if panel.compact else words,
            "dram_stride": pitch,
            "local_stride": local,
            "space": int(panel.store),
        }

    def _compute(self, step: Step) -> Event:
        addresses = {
            name: (self.places[ref.panel.store].where[ref.panel].start + ref.offset) * ref.scale + ref.entry
            for name, ref in step.refs.items()
        }
        return Event(step.op, step.operands | addresses, step.flags, step.layer)

    def _after(self, t: int, step: Step) -> None:
        for panel in step.written:
            self.in_memory[panel] = False
            self.started.add(panel)
        for panel in step.panels:
            place = self.places[panel.store]
            used = self.used[panel] = self.used[panel] + 1
            if panel.through and self.outline.last_write.get(panel) == t:
                self._transfer("STORE", panel, step.layer)
            where = place.where[panel]
            place.touched[where] = self.outline.when[t + 1]
            uses = self.outline.uses[panel]
            if used == len(uses):
                place.drop(panel)
                continue
            place.next_use[where] = self.outline.when[uses[used]]
            place.bring_back(panel, (1 if self.in_memory[panel] else 2) * self._unit_cycles(panel))


def residency(steps: Sequence[Step], manifest: Manifest, latency: int = 20, most: float = float("inf")) -> list[Event]:
    """Instructions of `steps` with loads and stores. Panels that had to be spilled are stored as soon as complete.

    Raises Hopeless if that cannot be done within `most` cycles, InputError if it does not fit.
    """
    walk = Residency(steps, manifest, latency, most)
    events = walk.run()
    late = [panel for panel in walk.spilled if not panel.through]
    if not late:
        return events
    for panel in late:
        panel.through = True
    events = walk.again(min(walk.outline.last_write[panel] for panel in late))
    for panel in late:
        panel.through = False
    return events


def engine_of(event: Event) -> isa.Engine:
    """The engine that runs `event`."""
    engine = isa.BY_NAME[event.op].engine
    if engine is None:
        raise ValueError(event.op)
    return engine
