"""The cycle model: one pass over a program in order, with queues, waits and the engines' costs.

Every wait names an earlier instruction, so its retirement is known when an instruction is reached and no
event queue is needed: decode, queueing, issue and retirement follow as maxima of earlier times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hwlib import isa
from hwlib.design import Manifest
from mfm.program.effects import macs
from mfm.program.program import Program
from mfm.run.timing import CostModel, Timing

ENGINES = tuple(isa.Engine)
HALF = 1 << (isa.WAIT_BITS - 1)


@dataclass(slots=True)
class Interval:
    """When instruction `index` was issued, worked and retired (cycles).

    held_by: what it was issued late for: the engine it waited for, ``fetch``, the engine whose full queue held up its
    decoding, or ''.
    """

    index: int
    engine: isa.Engine
    issue: float
    begin: float
    end: float
    retire: float
    held_by: str


@dataclass(frozen=True)
class Timeline:
    """A modelled run."""

    cycles: int
    mac_beats: int
    intervals: tuple[Interval, ...]

    @property
    def utilisation(self) -> float:
        """Share of cycles in which the array accepts a beat."""
        return self.mac_beats / self.cycles if self.cycles else 0.0

    def busy(self, engine: isa.Engine) -> float:
        """Cycles the engine works."""
        return sum(i.end - i.begin for i in self.intervals if i.engine is engine)


@dataclass
class _EngineState:
    """Times of the instructions an engine has been given, in order."""

    index: list[int] = field(default_factory=list)
    held_by: list[str] = field(default_factory=list)
    issue: list[float] = field(default_factory=list)
    begin: list[float] = field(default_factory=list)
    end: list[float] = field(default_factory=list)
    retire: list[float] = field(default_factory=list)

    def queued(self, at: float, most: float) -> float:
        """Cycles after `at` until the work asked for by then has come, at most `most` of it."""
        left, first, i = 0.0, at, len(self.end) - 1
        while i >= 0 and self.end[i] > at:
            if self.issue[i] < at:
                first = max(at, self.begin[i])
                left += self.end[i] - first
            i -= 1
        return first - at + min(left, most) if left else 0.0

    def delay(self, after: float, by: float) -> None:
        """Every interval not over at `after` ends later by `by`."""
        i = len(self.end) - 1
        while i >= 0 and self.end[i] > after:
            self.begin[i] += by if self.begin[i] > after else 0.0
            self.end[i] += by
            self.retire[i] += by
            i -= 1


class _Fetch:
    """The program fetch: groups of instructions, a window of them asked for, not yet decoded, behind queued loads."""

    def __init__(self, run: _Run) -> None:
        self.run = run
        self.group, self.window = round(run.timing.fetch_group), round(run.timing.fetch_window)
        self.arrival = 0.0
        self.decoded: list[float] = []

    def arrived(self, index: int) -> float:
        """When instruction `index` is there to be decoded."""
        timing, beats = self.run.timing, self.run.beats
        place = index % self.group
        if place == 0:
            needed = index + self.group - self.window - 1
            asked = self.decoded[needed] if needed >= 0 else 0.0
            loads = self.run.state[isa.Engine.LOAD]
            queued = loads.queued(asked, timing.read_backlog)
            loads.delay(asked, self.group * beats)
            self.arrival = max(self.arrival + self.group * beats, asked + max(self.run.latency, queued) + timing.fetch)
        return self.arrival + (place + 1) * beats


class _Run:
    def __init__(self, manifest: Manifest, latency: int) -> None:
        self.latency = float(latency)
        self.costs = CostModel(manifest, latency)
        self.timing: Timing = self.costs.timing
        self.depth = manifest.parameters["QUEUE"]
        self.beats = isa.INSTRUCTION_BYTES // manifest.parameters["AXI_BYTES"]
        self.state = {engine: _EngineState() for engine in ENGINES}
        self.fetch = _Fetch(self)
        self.decode, self.decoded_after = 0.0, ""

    def step(self, index: int, item: isa.Instruction) -> None:
        """Account for one more instruction."""
        arrived = self.fetch.arrived(index)
        if arrived > self.decode + 1:
            self.decoded_after = "fetch"
        self.decode = max(self.decode + 1, arrived)
        engine = isa.BY_NAME[item.op].engine
        if engine is not None:
            own = self.state[engine]
            rank = len(own.issue)
            if rank >= self.depth and own.issue[rank - self.depth] > self.decode:
                self.decode, self.decoded_after = own.issue[rank - self.depth], engine.name.lower()
            self._issue(index, engine, item)
        self.fetch.decoded.append(self.decode)

    def _issue(self, index: int, engine: isa.Engine, item: isa.Instruction) -> None:
        own = self.state[engine]
        cost = self.costs.cost(item.op, item.operands, item.flags)
        ready, held_by = self._waits(item)
        issue = max(self.decode + self.timing.issue, ready)
        if ready < issue:
            held_by = self.decoded_after
        wanted = issue
        depth = self.costs.depth(engine)
        if own.issue:
            issue = max(issue, own.issue[-1] + 1)
        if depth and len(own.issue) >= depth:
            issue = max(issue, own.retire[-depth])
        begin = issue + cost.start
        if own.issue:
            begin = max(begin, own.end[-1] + cost.gap)
        own.index.append(index)
        own.held_by.append(held_by if wanted >= issue else "")
        own.issue.append(max(issue, begin - cost.start))
        own.begin.append(begin)
        own.end.append(begin + cost.work)
        own.retire.append(begin + cost.work + cost.done)

    def _waits(self, item: isa.Instruction) -> tuple[float, str]:
        """When every wait is met, and the engine met last."""
        latest, name = 0.0, ""
        for engine, wait in zip(ENGINES, item.waits, strict=True):
            retired = self.state[engine].retire
            count = len(retired) - ((len(retired) - wait) % (2 * HALF))
            if count > 0 and retired[count - 1] + self.timing.retire > latest:
                latest, name = retired[count - 1] + self.timing.retire, engine.name.lower()
        return latest, name

    def intervals(self) -> tuple[Interval, ...]:
        """All instructions' intervals, in program order."""
        found = [
            Interval(own.index[i], engine, own.issue[i], own.begin[i], own.end[i], own.retire[i], own.held_by[i])
            for engine, own in self.state.items()
            for i in range(len(own.index))
        ]
        return tuple(sorted(found, key=lambda interval: interval.index))


def simulate_stream(instructions: Sequence[isa.Instruction], manifest: Manifest, latency: int = 20) -> Timeline:
    """The modelled run of `instructions` on `manifest` behind a memory of `latency` cycles."""
    run = _Run(manifest, latency)
    for index, item in enumerate(instructions):
        run.step(index, item)
    intervals = run.intervals()
    beats = sum(macs(item.op, item.operands) for item in instructions)
    last = max((i.retire for i in intervals), default=0.0)
    return Timeline(round(max(last, run.decode) + run.timing.issue), beats, intervals)


def run_cycles(program: Program, manifest: Manifest, latency: int = 20) -> Timeline:
    """The modelled run of `program`. Raises InputError if it was compiled for another shape."""
    program.check(manifest)
    return simulate_stream(program.instructions, manifest, latency)
