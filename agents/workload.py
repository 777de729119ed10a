"""Cycles of the spec's workload at any parameter point, by the cycle model; what designers compare points with."""

from __future__ import annotations

from pathlib import Path

import mfm
from agents.kept import kept, sources
from hwlib.design import Manifest
from hwlib.errors import InputError
from hwlib.spec import Spec
from mfm import api as mfm_api
from mfm.program.program import TARGET_PARAMETERS, Program
from mfm.run.cycles import run_cycles
from mfm.schedule.schedule import schedule


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
