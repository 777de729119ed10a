"""What the graph asks of verification and of the compiler, as one interface, so that tests can stand in for both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from agents.cycle_use import CycleUse
from agents.designers import BlockCost
from agents.records import Figures, GateOutcome
from hwlib.design import Design, Manifest
from hwlib.spec import Spec

if TYPE_CHECKING:
    from verification.cone import Register
    from verification.proposals import Grade, Proposal
    from verification.synthesize import Part

BLOCK_GATES = ("policy", "lint", "simulate")
"""Gates each written block must pass before its design is assembled, cheapest first; the dearer ones judge wholes."""

TEMPLATE_GATES: tuple[str, ...] = BLOCK_GATES[:2]
"""The same of a template, which was right before: those that are chosen are simulated with their design."""

DESIGN_GATES = (
    "policy",
    "lint",
    "simulate",
    "sealed",
    "prove",
    "integrate",
    "synthesise",
    "netlist",
    "memorisation",
)
"""Gates the assembled design must pass, in order: all there are."""


@dataclass(frozen=True)
class Measured:
    """A whole design on the spec's workload: silicon figures from synthesis, cycles from its RTL."""

    area_um2: float
    period_ns: float
    power_mw: float | None
    cycles: int
    utilisation: float


@dataclass(frozen=True)
class BlockReport:
    """A block's synthesis as a writer can act on it: its cost, cells, and critical path as (pin, cell, ns) steps."""

    cost: BlockCost
    cells: int
    start: str
    end: str
    path: tuple[tuple[str, str, float], ...]


class Evaluator(Protocol):
    """Judges blocks and designs. Results depend only on the arguments, so evidence may answer a repeat."""

    def check_block(self, design: Design, block: str, gate: str) -> GateOutcome:
        """Run one of BLOCK_GATES on one block of `design` (which holds at least the block's closure)."""

    def check_quick(self, design: Design, block: str) -> tuple[GateOutcome, ...]:
        """The quick verdict on one block: what a draft is tried with, not what accepts it."""

    def check_tests(self, design: Design, block: str, tests: Sequence[Proposal]) -> GateOutcome:
        """Run tests that were kept for `block` on it."""

    def grade_test(self, block: str, test: Proposal) -> Grade:
        """Whether a proposed test finds a planted fault that the block's bench leaves."""

    def check_design(self, design: Design, gate: str) -> GateOutcome:
        """Run one of DESIGN_GATES on the whole design."""

    def block_cost(self, design: Design, block: str) -> BlockCost:
        """Synthesise one block without its sub-blocks."""

    def block_report(self, design: Design, block: str) -> BlockReport:
        """The same synthesis with its critical path. InputError if the block cannot be synthesised."""

    def block_parts(self, design: Design, block: str) -> tuple[Part, ...]:
        """The modules of the block, each mapped by itself."""

    def cone(self, design: Design, block: str, outputs: Sequence[str]) -> tuple[Register, ...]:
        """The registers that ports of the block follow from; none where the text cannot be read."""

    def model_cycles(self, manifest: Manifest) -> int | None:
        """Cycles of the workload by the cycle model; None if it does not fit a design with this manifest."""

    def cycle_use(self, manifest: Manifest) -> CycleUse | None:
        """Where those cycles go."""

    def measure(self, design: Design) -> Measured:
        """Figures of a design that passed its gates; cycles counted by its RTL."""


def figures(spec: Spec, measured: Measured) -> Figures:
    """`measured` with latency, energy and the spec's objective; runs at the design's own minimum period.

    Power is at the minimum period, so energy (pJ) is power (mW) x latency (ns).
    """
    latency_ns = measured.cycles * measured.period_ns
    energy = None if measured.power_mw is None else measured.power_mw * latency_ns
    return Figures(
        area_um2=measured.area_um2,
        period_ns=measured.period_ns,
        power_mw=measured.power_mw,
        cycles=measured.cycles,
        latency_us=latency_ns / 1e3,
        energy_pj=energy,
        utilisation=measured.utilisation,
        objective=objective(spec, measured.area_um2, latency_ns, energy),
    )


def objective(spec: Spec, area_um2: float, latency_ns: float, energy_pj: float | None) -> float:
    """The spec's objective, smaller is better: mm2·us, us, mm2, nJ·us or nJ. Infinite if it needs an unknown energy."""
    area_mm2, latency_us = area_um2 / 1e6, latency_ns / 1e3
    energy_nj = float("inf") if energy_pj is None else energy_pj / 1e3
    return {
        "area_delay": area_mm2 * latency_us,
        "delay": latency_us,
        "area": area_mm2,
        "energy_delay": energy_nj * latency_us,
        "energy": energy_nj,
    }[spec.objective]


def broken_budgets(spec: Spec, f: Figures) -> list[str]:
    """The spec's budgets that `f` breaks, in words."""
    budgets = spec.budgets
    bounds = (
        ("area", f.area_um2, budgets.area_um2, "um2"),
        ("power", f.power_mw, budgets.power_mw, "mW"),
        ("latency", f.latency_us, budgets.latency_us, "us"),
        ("period", f.period_ns, spec.clock_ns, "ns"),
    )
    return [
        f"{name} {value:.4g} {unit} is over the budget of {bound:.4g} {unit}"
        for name, value, bound, unit in bounds
        if bound is not None and value is not None and value > bound
    ]
