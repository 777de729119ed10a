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
from mfm.run.timing import Cost, CostModel, Timing

ENGINES = tuple(isa.Engine)
HALF = 1 << (isa.WAIT_BITS - 1)


@dataclass(frozen=True)
class Interval:
    """When instruction `index` was issued, worked and retired (cycles), and what held it back (an engine's name or '')."""

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
    issued: list[float] = field(default_factory=list)
    retired: list[float] = field(default_factory=list)
    work_end: float = 0.0


class _Run:
    def __init__(self, manifest: Manifest, latency: int) -> None:
        self.costs = CostModel(manifest, latency)
        self.timing: Timing = self.costs.timing
        self.depth = manifest.parameters["QUEUE"]
        self.beats = isa.INSTRUCTION_BYTES // manifest.parameters["AXI_BYTES"]
        self.state = {engine: _EngineState() for engine in ENGINES}
        self.decode = float(latency) + self.timing.issue

    def step(self, index: int, item: isa.Instruction) -> Interval:
        engine = isa.BY_NAME[item.op].engine
        if engine is None:
            raise ValueError(f"{item.op} runs on no engine")
        own = self.state[engine]
        rank = len(own.issued)
        self.decode += self.beats + self.timing.fetch
        if rank >= self.depth:
            self.decode = max(self.decode, own.issued[rank - self.depth])
        cost = self.costs.cost(item.op, item.operands, item.flags)
        ready, held_by = self._waits(item)
        issue = max(self.decode + self.timing.issue, ready)
        if rank:
            issue = max(issue, own.issued[-1] + 1, self._accepts(engine))
        held_by = held_by if ready >= issue else ""
        return self._occupy(index, engine, issue, cost, held_by)

    def _accepts(self, engine: isa.Engine) -> float:
        """When the engine takes its next instruction: vector after retiring, the others while the last one's work goes on."""
        own = self.state[engine]
        return own.retired[-1] if engine is isa.Engine.VECTOR else own.issued[-1]

    def _occupy(self, index: int, engine: isa.Engine, issue: float, cost: Cost, held_by: str) -> Interval:
        own = self.state[engine]
        begin = issue + cost.start
        if own.issued and engine is not isa.Engine.VECTOR:
            begin = max(begin, own.work_end + cost.gap)
        own.work_end = begin + cost.work
        retire = own.work_end + cost.done
        own.issued.append(max(issue, begin - cost.start))
        own.retired.append(retire)
        return Interval(index, engine, issue, begin, own.work_end, retire, held_by)

    def _waits(self, item: isa.Instruction) -> tuple[float, str]:
        """When every wait is met, and the engine met last."""
        latest, name = 0.0, ""
        for engine, wait in zip(ENGINES, item.waits, strict=True):
            retired = self.state[engine].retired
            count = len(retired) - ((len(retired) - wait) % (2 * HALF))
            if count > 0 and retired[count - 1] + self.timing.retire > latest:
                latest, name = retired[count - 1] + self.timing.retire, engine.name.lower()
        return latest, name


def simulate_stream(instructions: Sequence[isa.Instruction], manifest: Manifest, latency: int = 20) -> Timeline:
    """The modelled run of `instructions` on `manifest` behind a memory of `latency` cycles."""
    run = _Run(manifest, latency)
    intervals = tuple(run.step(i, item) for i, item in enumerate(instructions) if item.op != "END")
    beats = sum(macs(item.op, item.operands) for item in instructions)
    last = max((i.retire for i in intervals), default=0.0)
    return Timeline(round(max(last, run.decode) + run.timing.issue), beats, intervals)


def run_cycles(program: Program, manifest: Manifest, latency: int = 20) -> Timeline:
    """The modelled run of `program`. Raises InputError if it was compiled for another shape."""
    program.check(manifest)
    return simulate_stream(program.instructions, manifest, latency)
