"""Where the cycles and the memory traffic of a program go, layer by layer, by the cycle model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from hwlib import isa
from hwlib.design import Manifest
from mfm.program.effects import macs
from mfm.program.program import Program
from mfm.run.cycles import Timeline, run_cycles
from mfm.run.occupancy import scratchpad_occupancy
from mfm.run.traffic import Region, Traffic, layer_traffic, memory_map

CAUSES = ("load", "vector", "store", "fetch", "fill")
"""Why the array is without a beat: it waits for data from memory, for a vector instruction, for a store, or for the
program; or it fills and drains (the start of a GEMM, tiles shorter than their drain, results of its own)."""
OWN = {"matrix": "fill", "": "fill"}
Lost = dict[str, dict[str, float]]


@dataclass(frozen=True)
class LayerProfile:
    """One layer, in order of first use.

    mac_cycles: array beats; lost_cycles: cycles without one, before and in its GEMMs, by cause; utilisation: share of
    both in which there is a beat; busy_cycles: work by engine; attention: it has a softmax. bytes_*: of memory; of
    those moved, `minimum` had to be and `again` had not (`mfm.run.traffic`).
    """

    name: str
    attention: bool
    mac_cycles: int
    lost_cycles: dict[str, int]
    utilisation: float
    busy_cycles: dict[str, int]
    bytes_read: int
    bytes_written: int
    bytes_minimum: int
    bytes_again: int

    @property
    def cycles(self) -> int:
        """Cycles of the run that are this layer's."""
        return self.mac_cycles + sum(self.lost_cycles.values())

    @property
    def bytes_moved(self) -> int:
        return self.bytes_read + self.bytes_written


@dataclass(frozen=True)
class Profile:
    """A modelled run.

    utilisation: share of cycles in which the array has a beat; lost_cycles: the others by cause; peak_macs: of the
    array a cycle; bus_bytes: of the memory bus a cycle; bytes_once: what any schedule must move: constants, inputs,
    outputs and caches once; occupancy: of the scratchpad, in equal parts of the run.
    host: what the host computes between programs, with modules and source lines; it takes none of the cycles.
    """

    cycles: int
    utilisation: float
    lost_cycles: dict[str, int]
    busy_cycles: dict[str, int]
    peak_macs: int
    bus_bytes: int
    bytes_moved: int
    bytes_once: int
    layers: tuple[LayerProfile, ...]
    memory: tuple[Region, ...]
    occupancy: tuple[float, ...]
    host: tuple[str, ...] = ()


def profile(program: Program, manifest: Manifest, latency: int = 20) -> Profile:
    """Profile `program` on `manifest` by the cycle model. Raises InputError if it was compiled for another shape."""
    timeline = run_cycles(program, manifest, latency)
    traffic = layer_traffic(program)
    layers = _layers(program, timeline, traffic)
    return Profile(
        cycles=timeline.cycles,
        utilisation=timeline.utilisation,
        lost_cycles={cause: sum(layer.lost_cycles[cause] for layer in layers) for cause in CAUSES},
        busy_cycles={engine.name.lower(): round(timeline.busy(engine)) for engine in isa.Engine},
        peak_macs=manifest.macs_per_cycle,
        bus_bytes=manifest.parameters["AXI_BYTES"],
        bytes_moved=sum(moved.moved for moved in traffic.values()),
        bytes_once=sum(moved.once for moved in traffic.values()),
        layers=layers,
        memory=memory_map(program),
        occupancy=scratchpad_occupancy(program, manifest, timeline),
    )


def _layers(program: Program, timeline: Timeline, traffic: Mapping[str, Traffic]) -> tuple[LayerProfile, ...]:
    names = dict.fromkeys(program.layers[:-1])
    beats: dict[str, int] = dict.fromkeys(names, 0)
    busy = {name: {engine.name.lower(): 0.0 for engine in isa.Engine} for name in names}
    attention = set[str]()
    for interval in timeline.intervals:
        name, item = program.layers[interval.index], program.instructions[interval.index]
        beats[name] += macs(item.op, item.operands)
        busy[name][interval.engine.name.lower()] += interval.end - interval.begin
        attention |= {name} if item.op == "SOFTMAX" else set()
    lost, made = _lost(program, timeline), []
    for name in names:
        away, moved = _rounded(lost[name]), traffic[name]
        total = beats[name] + sum(away.values())
        cycles = (beats[name], away, beats[name] / total if total else 0.0, _rounded(busy[name]))
        made.append(
            LayerProfile(name, name in attention, *cycles, moved.read, moved.written, moved.minimum, moved.again)
        )
    return tuple(made)


def _rounded(figures: Mapping[str, float]) -> dict[str, int]:
    return {name: round(value) for name, value in figures.items()}


def _lost(program: Program, timeline: Timeline) -> Lost:
    """Per layer, the cycles without a beat: those before a GEMM by what it waited for last, and those within it."""
    found: Lost = defaultdict(lambda: dict.fromkeys(CAUSES, 0.0))
    end = retired = 0.0
    for interval in timeline.intervals:
        if interval.engine is isa.Engine.MATRIX:
            own, item = found[program.layers[interval.index]], program.instructions[interval.index]
            before = interval.begin - end
            filling = min(before, interval.begin - interval.issue)
            own[OWN.get(interval.held_by, interval.held_by)] += before - filling
            own["fill"] += filling + interval.end - interval.begin - macs(item.op, item.operands)
            end, retired = interval.end, interval.retire
    last = max(timeline.intervals, key=lambda interval: interval.retire, default=None)
    if last is not None:
        own = found[program.layers[last.index]]
        own["fill"] += retired - end
        engine = last.engine.name.lower()
        own[OWN.get(engine, engine)] += timeline.cycles - retired
    return found
