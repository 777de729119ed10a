"""The spec's workload: its cycles at any parameter point by the cycle model, and its run on RTL for the gates."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import mfm
from agents.kept import kept, sources
from hwlib.design import Design, Manifest
from hwlib.errors import InputError
from hwlib.spec import Spec
from mfm import api as mfm_api
from mfm.compress.integer import execute
from mfm.program.program import TARGET_PARAMETERS, Program
from mfm.run.cycles import run_cycles
from mfm.run.rtl import RtlRunner
from mfm.schedule.schedule import schedule
from verification.judgement import Finding, WorkloadReport
from verification.system.simulation import Simulation

Int = NDArray[np.int64]
HANG = 60
"""A run with a stalling memory that takes this many times the modelled cycles counts as hung."""


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
        design = f"{sorted(manifest.parameters.items())} {sorted(manifest.timing.items())}"
        parts = {"model": self._model, "design": design, "latency": str(self._latency)}

        def compute() -> int | None:
            program = self._program(manifest)
            return None if program is None else run_cycles(program, manifest, self._latency).cycles

        return kept("cycles", parts | {"compiler": sources(Path(mfm.__file__).parent)}, compute, int | None)

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


class GoldenWorkload:
    """The workload for the gate `integrate`: every output value compared with the golden executor's."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec

    @property
    def key(self) -> str:
        """Model, memory and compiler."""
        return f"{self._spec.workload.model} {self._spec.memory} {sources(Path(mfm.__file__).parent)}"

    def run(self, design: Design, open_session: Callable[[], AbstractContextManager[Simulation]]) -> WorkloadReport:
        """Compile for `design` and run one input. Raises InputError if it does not fit."""
        graph, latency = mfm_api.load_graph(self._spec.workload.model), self._spec.memory.latency_cycles
        found = schedule(graph, design.manifest, latency, effort=0)
        inputs = mfm_api.inputs_for(found.program)
        expected = execute(graph, inputs)
        with open_session() as session:
            done = RtlRunner(session, design.manifest, found.program).run(inputs)
        if done.status != "done":
            return WorkloadReport((Finding(f"{graph.name}: the run ended with {done.status}"),), 0, done.counters)
        return WorkloadReport(
            _differences(graph.name, done.outputs[graph.output], expected), expected.size, done.counters
        )


def _differences(name: str, got: Int, expected: Int) -> tuple[Finding, ...]:
    wrong = np.argwhere(got != expected)
    if not len(wrong):
        return ()
    row, column = (int(i) for i in wrong[0])
    what = f"{name}: {len(wrong)} of {expected.size} outputs differ, the first at row {row}, column {column}"
    return (Finding(what, expected=str(expected[row, column]), got=str(got[row, column])),)
