"""Models that the host divides: their programs in one memory, run one after the other with the host between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwlib.design import Design
from mfm.compress.integer import IntegerGraph, QInput
from mfm.program.program import Program, TensorSlot
from mfm.run.cycles import run_cycles
from mfm.run.generate import DesignRunner, GoldenRunner, ModelImage
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
        return tuple(_slot(op) for op in self.graph.inputs)


def _slot(op: QInput) -> TensorSlot:
    choices = 0 if op.table is None else len(op.table)
    return TensorSlot(op.out, 0, op.rows, op.cols, 0, op.scale, 0, op.gather, 0, choices)


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
    busy = Counter[str]()
    for part in found:
        busy.update(part.busy_cycles)
    used = sum(part.utilisation * part.cycles for part in found) / cycles if cycles else 0.0
    layers = tuple(layer for part in found for layer in part.layers)
    return Profile(cycles, used, dict(busy), layers, tuple(op.where for op in model.graph.hosts))
