"""The spec's workload: its cycles at any parameter point by the cycle model, and its run on RTL for the gates."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import hwlib
import mfm
from agents.cycle_use import CycleUse, LayerUse
from agents.kept import kept, sources
from hwlib import isa
from hwlib.design import Design, Manifest
from hwlib.errors import InputError
from hwlib.spec import Spec
from mfm import api as mfm_api
from mfm.compress.decode import looked_up
from mfm.compress.integer import IntegerGraph, execute
from mfm.program.program import TARGET_PARAMETERS, Program
from mfm.run.cycles import run_cycles
from mfm.run.profile import LayerProfile, profile
from mfm.run.rtl import RtlRunner
from mfm.schedule.schedule import schedule
from mfm.workloads import random_caches
from verification import cache
from verification.judgement import Finding, WorkloadReport
from verification.system.simulation import Simulation

Int = NDArray[np.int64]
FULL_RANGE = "encoder-block-32-64-2-128"
"""A workload whose activations take every int8 value."""
TABLE_ROWS = 48
"""Of the table in which its input is looked up."""
UNITS = {
    isa.Engine.LOAD: "load_unit", isa.Engine.STORE: "store_unit",
    isa.Engine.MATRIX: "matrix_unit", isa.Engine.VECTOR: "vector_unit",
}  # fmt: skip
"""The block that does an engine's instructions."""
LAYERS = 6
"""Layers that a planner is told of."""


def compiler() -> str:
    """Hash of the compiler, and of the instruction set and arithmetic it compiles for."""
    return " ".join(sources(Path(package.__file__ or "").parent) for package in (mfm, hwlib))


def content(model: str) -> str:
    """A workload's name; of a model's file what is in it, as another model may come to lie there."""
    path = Path(model)
    return f"{model} {cache.digest_files([path])}" if path.suffix == ".pt" and path.is_file() else model


class WorkloadCycles:
    """Cycles of one workload on many manifests.

    Programs are the best of the scheduler's starting points, not of its whole search, which takes ten times as long.
    Cycles are kept on disk by workload, manifest and compiler source; weights do not change them.
    """

    def __init__(self, spec: Spec) -> None:
        self._model = spec.workload.model
        self._latency = spec.memory.latency_cycles
        self._programs: dict[tuple[int, ...], Program | None] = {}

    def cycles(self, manifest: Manifest) -> int | None:
        """Cycles on a design with this manifest; None if the workload does not fit."""

        def compute() -> int | None:
            program = self._program(manifest)
            return None if program is None else run_cycles(program, manifest, self._latency).cycles

        return kept("cycles", self._parts(manifest), compute, int | None)

    def use(self, manifest: Manifest) -> CycleUse | None:
        """Where those cycles go; None if the workload does not fit."""

        def compute() -> CycleUse | None:
            program = self._program(manifest)
            return None if program is None else _use(program, manifest, self._latency)

        told = sources(Path(__file__).parent, Path(__file__).name)
        return kept("cycle-use", self._parts(manifest) | {"told": told}, compute, CycleUse | None)

    def _parts(self, manifest: Manifest) -> dict[str, str]:
        """What cycles follow from."""
        design = f"{sorted(manifest.parameters.items())} {sorted(manifest.timing.items())}"
        about = {"model": content(self._model), "design": design, "latency": str(self._latency)}
        return about | {"compiler": compiler()}

    def _program(self, manifest: Manifest) -> Program | None:
        """The program for the parameters programs depend on; the others only change its speed."""
        key = tuple(manifest.parameters[name] for name in TARGET_PARAMETERS)
        if key not in self._programs:
            graph = mfm_api.load_graph(self._model)
            try:
                self._programs[key] = schedule(graph, manifest, self._latency, effort=0).program
            except InputError:
                self._programs[key] = None
        return self._programs[key]


def _use(program: Program, manifest: Manifest, latency: int) -> CycleUse:
    """Of a modelled run; an engine's cycles are its unit's, told apart by instruction."""
    found, timeline = profile(program, manifest, latency), run_cycles(program, manifest, latency)
    work: dict[str, dict[str, float]] = {block: {} for block in UNITS.values()}
    for interval in timeline.intervals:
        own, name = work[UNITS[interval.engine]], program.instructions[interval.index].op
        own[name] = own.get(name, 0.0) + interval.end - interval.begin
    longest = sorted(found.layers, key=lambda layer: -layer.cycles)[:LAYERS]
    return CycleUse(
        cycles=found.cycles,
        beats=timeline.mac_beats,
        lost=found.lost_cycles,
        work={block: {name: round(count) for name, count in own.items()} for block, own in work.items() if own},
        layers=tuple(_layer_use(layer) for layer in found.layers if layer in longest and layer.cycles),
    )


def _layer_use(layer: LayerProfile) -> LayerUse:
    most = max(layer.lost_cycles, key=lambda cause: layer.lost_cycles[cause])
    return LayerUse(layer.name, layer.cycles, layer.utilisation, most if layer.lost_cycles[most] else "nothing")


class GoldenWorkload:
    """The workload for the gate `integrate`: every output value compared with the golden executor's.

    Its input is random, over the whole of int8. A trained model still keeps its activations well inside that, so an
    encoder block with random weights, small but saturating everywhere, is run besides, its input looked up by number
    in a table in memory; a design too small for that block but not for the workload runs the workload alone.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec

    @property
    def key(self) -> str:
        """Model, memory and compiler, and how the program is run."""
        programs = f"{content(self._spec.workload.model)} {FULL_RANGE}"
        return f"{programs} {self._spec.memory} {compiler()} {Path(__file__).read_text()}"

    def run(self, design: Design, open_session: Callable[[], AbstractContextManager[Simulation]]) -> WorkloadReport:
        """Compile for `design` and run both. Raises InputError if the workload does not fit."""
        workload, extra = mfm_api.load_graph(self._spec.workload.model), full_range()
        jobs = [(workload, self._program(workload, design.manifest))]
        with suppress(InputError):
            jobs.append((extra, self._program(extra, design.manifest)))
        findings: list[Finding] = []
        compared = 0
        counters: dict[str, int] = {}
        with open_session() as session:
            for graph, program in jobs:
                inputs, caches = random_inputs(program), random_caches(graph)
                runner = RtlRunner(session, design.manifest, program)
                for name, rows in caches.items():
                    runner.write_cache(name, rows)
                done = runner.run(inputs)
                counters = counters or done.counters
                if done.status != "done":
                    findings.append(Finding(f"{graph.name}: the run ended with {done.status}"))
                    break
                expected = execute(graph, inputs, caches)
                findings += _differences(graph.name, done.outputs[graph.output], expected)
                compared += expected.size
        return WorkloadReport(tuple(findings), compared, counters)

    def _program(self, graph: IntegerGraph, manifest: Manifest) -> Program:
        return schedule(graph, manifest, self._spec.memory.latency_cycles, effort=0).program


def full_range() -> IntegerGraph:
    """The encoder block that is run besides: its input's rows are those of a random table."""
    graph = mfm_api.load_graph(FULL_RANGE)
    (source,) = graph.inputs
    return looked_up(graph, _matrix(np.random.default_rng(1), TABLE_ROWS, source.cols))


def random_inputs(program: Program) -> dict[str, Int]:
    """Random int8 inputs of `program`, or row numbers, always the same; no real sample is so wild."""
    random = np.random.default_rng(0)
    return {
        slot.name: random.integers(0, slot.choices, slot.rows)
        if slot.choices
        else _matrix(random, slot.rows, slot.cols)
        for slot in program.inputs
    }


def _matrix(random: np.random.Generator, rows: int, cols: int) -> Int:
    """Random int8 values, an eighth of them extreme."""
    extreme = random.random((rows, cols)) < 1 / 8
    ends: Int = random.choice(np.array([-128, 127], dtype=np.int64), (rows, cols))
    return np.where(extreme, ends, random.integers(-128, 128, (rows, cols)))


def _differences(name: str, got: Int, expected: Int) -> tuple[Finding, ...]:
    wrong = np.argwhere(got != expected)
    if not len(wrong):
        return ()
    row, column = (int(i) for i in wrong[0])
    what = f"{name}: {len(wrong)} of {expected.size} outputs differ, the first at row {row}, column {column}"
    return (Finding(what, expected=str(expected[row, column]), got=str(got[row, column])),)
