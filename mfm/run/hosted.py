"""Models that the host divides: their programs in one memory, run one after the other with the host between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwlib.design import Design
from mfm.compress.integer import IntegerGraph
from mfm.program.program import Program, TensorSlot
from mfm.run.cycles import run_cycles
from mfm.run.generate import DesignRunner, GoldenRunner, ModelImage
from mfm.run.occupancy import SLICES
from mfm.run.profile import Profile, profile
from verification.system.simulation import MemoryModel

Int = NDArray[np.int64]


@dataclass(frozen=True)
class HostedModel:
    """A graph with operations on the host, and the image that its programs are compiled into when first needed."""

    graph: IntegerGraph
    image: ModelImage

    @property
    def name(self) -> str:
        return self.graph.name

    @cached_property
    def programs(self) -> tuple[Program, ...]:
        """In the order in which they run."""
        return tuple(self.image.program(part.graph, False) for part in self.image.split(self.graph).segments)

    @property
    def inputs(self) -> tuple[TensorSlot, ...]:
        """What a run is given; the addresses are those of no program."""
        return tuple(TensorSlot.unplaced(op) for op in self.graph.inputs)


@dataclass(frozen=True)
class HostedRun:
    """One run: int8 outputs by name; cycles and counters over all programs, what the host does taking none."""

    outputs: dict[str, Int]
    cycles: int | None
    counters: dict[str, int]


def run_golden(model: HostedModel, inputs: Mapping[str, Int]) -> HostedRun:
    """By the golden machine."""
    found = GoldenRunner(model.image).run(model.graph, inputs)
    return HostedRun({model.graph.output: found}, None, {})


def run_modelled(model: HostedModel) -> HostedRun:
    """By the cycle model."""
    runs = [run_cycles(program, model.image.manifest, model.image.latency) for program in model.programs]
    return HostedRun({}, sum(run.cycles for run in runs), {"mac": sum(run.mac_beats for run in runs)})


def run_design(model: HostedModel, inputs: Mapping[str, Int], design: Design, memory: MemoryModel) -> HostedRun:
    """By the RTL of `design`. Raises InputError where a run does not end well."""
    with ExitStack() as stack:
        runner = DesignRunner(model.image, stack, design, memory)
        found = runner.run(model.graph, inputs)
    counters = Counter[str]()
    for counted in runner.counters:
        counters.update(counted)
    return HostedRun({model.graph.output: found}, sum(runner.cycles), dict(counters))


def profile_hosted(model: HostedModel) -> Profile:
    """The modelled cycles of all programs together, and what runs on the host between them."""
    found = [profile(program, model.image.manifest, model.image.latency) for program in model.programs]
    cycles = sum(part.cycles for part in found)
    lost, busy = Counter[str](), Counter[str]()
    for part in found:
        lost.update(part.lost_cycles)
        busy.update(part.busy_cycles)
    first = found[0]
    return Profile(
        cycles=cycles,
        utilisation=sum(part.utilisation * part.cycles for part in found) / cycles if cycles else 0.0,
        lost_cycles=dict(lost),
        busy_cycles=dict(busy),
        peak_macs=first.peak_macs,
        bus_bytes=first.bus_bytes,
        bytes_moved=sum(part.bytes_moved for part in found),
        bytes_once=sum(part.bytes_once for part in found),
        layers=tuple(layer for part in found for layer in part.layers),
        memory=tuple(dict.fromkeys(region for part in found for region in part.memory)),
        occupancy=_together(found, cycles),
        host=tuple(op.where for op in model.graph.hosts),
    )


def _together(parts: Sequence[Profile], cycles: int) -> tuple[float, ...]:
    """The scratchpad's occupancy over all programs, in as many equal parts as one has."""
    ends = np.concatenate([[0], np.cumsum([part.cycles for part in parts])])
    times = (np.arange(SLICES) + 0.5) / SLICES * cycles
    which = np.searchsorted(ends, times, side="right") - 1
    inside = [
        parts[p].occupancy[int((time - ends[p]) / parts[p].cycles * SLICES)]
        for p, time in zip(which, times, strict=True)
    ]
    return tuple(inside)
