"""How strictly the gates judge a design for a spec. The compiler is imported only when a workload is really run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from hwlib.design import Design
from hwlib.spec import Spec
from hwlib.tech import technology
from verification.judgement import Context, Workload, WorkloadReport
from verification.system.simulation import Simulation


@dataclass(frozen=True)
class _SpecWorkload:
    """The spec's workload, compiled and run by `agents.workload`."""

    spec: Spec

    @property
    def key(self) -> str:
        return self._workload().key

    def run(self, design: Design, open_session: Callable[[], AbstractContextManager[Simulation]]) -> WorkloadReport:
        """As `GoldenWorkload` does."""
        return self._workload().run(design, open_session)

    def _workload(self) -> Workload:
        from agents.workload import GoldenWorkload

        return GoldenWorkload(self.spec)


def gate_context(spec: Spec) -> Context:
    """What the gates judge a design for `spec` with."""
    return Context(
        workload=_SpecWorkload(spec),
        memory_latency=spec.memory.latency_cycles,
        technology=technology(spec.technology),
        clock_ns=spec.clock_ns,
        area_limit_um2=spec.budgets.area_um2,
        power_limit_mw=spec.budgets.power_mw,
    )
