"""Where the cycles of a modelled run go: by layer and by engine."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from hwlib import isa
from hwlib.design import Manifest
from mfm.program.effects import macs
from mfm.program.program import Program
from mfm.run.cycles import Interval, run_cycles


@dataclass(frozen=True)
class LayerProfile:
    """Cycles of one layer, in execution order of first use.

    mac_cycles: array beats; array_idle_cycles: the array idle before an instruction of this layer; idle_for: those
    cycles by the engine waited for ("" where nothing was: start-up, drain, decode); busy_cycles: work by engine.
    """

    name: str
    mac_cycles: int
    array_idle_cycles: int
    idle_for: dict[str, int]
    busy_cycles: dict[str, int]


@dataclass(frozen=True)
class Profile:
    """A modelled run: cycles, share of them in which the array works, work by engine, layers.

    host: what the host computes between programs, with modules and source lines; it takes none of the cycles.
    """

    cycles: int
    utilisation: float
    busy_cycles: dict[str, int]
    layers: tuple[LayerProfile, ...]
    host: tuple[str, ...] = ()


def profile(program: Program, manifest: Manifest, latency: int = 20) -> Profile:
    """Profile `program` on `manifest` by the cycle model. Raises InputError if it was compiled for another shape."""
    timeline = run_cycles(program, manifest, latency)
    engines = {engine.name.lower(): round(timeline.busy(engine)) for engine in isa.Engine}
    idle = _idle(program, timeline.intervals)
    layers = [_layer(program, name, timeline.intervals, idle[name]) for name in dict.fromkeys(program.layers[:-1])]
    return Profile(timeline.cycles, timeline.utilisation, engines, tuple(layers))


def _idle(program: Program, intervals: tuple[Interval, ...]) -> dict[str, dict[str, int]]:
    """Per layer, the array's idle cycles by what the next GEMM waited for."""
    found: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    last = 0.0
    for interval in intervals:
        if interval.engine is isa.Engine.MATRIX:
            found[program.layers[interval.index]][interval.held_by] += interval.begin - last
            last = interval.end
    return defaultdict(dict, {n: {k: round(v) for k, v in by.items() if v >= 0.5} for n, by in found.items()})


def _layer(program: Program, name: str, intervals: tuple[Interval, ...], idle: dict[str, int]) -> LayerProfile:
    own = [interval for interval in intervals if program.layers[interval.index] == name]
    beats = sum(macs(program.instructions[i.index].op, program.instructions[i.index].operands) for i in own)
    busy = {
        engine.name.lower(): round(sum(i.end - i.begin for i in own if i.engine is engine)) for engine in isa.Engine
    }
    return LayerProfile(name, beats, sum(idle.values()), idle, busy)
