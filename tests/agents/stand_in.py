"""A judge and a template library that stand in for verification and hwlib: same interfaces, instant, deterministic."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agents.cost import Choice, size
from agents.cycle_use import CycleUse, LayerUse
from agents.designers import BlockCost, Files
from agents.designers.search import SearchDesigner
from agents.designers.space import Space
from agents.evaluator import BlockReport, Evaluator, Measured
from agents.records import GateOutcome
from hwlib import contracts
from hwlib.design import Design, Manifest
from hwlib.spec import Budgets, Spec
from verification.cone import Register
from verification.proposals import Grade, Proposal
from verification.synthesize import Part

SPEC = Spec(name="toy", clock_ns=20.0, budgets=Budgets(macs_per_cycle=64, scratchpad_kib=16))
VARIANTS = {"plain": (1.0, 1.0), "quick": (1.1, 0.6), "lean": (0.8, 1.1), "broken": (0.1, 0.1)}
"""Area and period of each variant, relative to the plain one. The broken array fails its simulation."""


class ToyLibrary:
    """Every block in four variants; the text only says which."""

    def choices(self, block: str) -> tuple[Choice, ...]:
        return tuple(Choice(block, name) for name in VARIANTS if name != "broken" or block == "array")

    def render(self, choice: Choice) -> Files:
        return {f"{choice.block}.v": f"// {choice.variant}\nmodule {choice.block};\nendmodule\n"}


@dataclass
class ToyEvaluator:
    """Figures from formulas of the parameters and of the variants named in the text."""

    spec: Spec
    delay_s: float = 0.0
    calls: int = 0
    refuse_design: Callable[[Design, str], bool] = lambda design, gate: False

    def check_block(self, design: Design, block: str, gate: str) -> GateOutcome:
        self._work()
        bad = gate == "simulate" and _variant(design, block) == "broken"
        return GateOutcome(gate, block, not bad, ("cycle 3: acc.data is 1, expected 2",) if bad else ())

    def check_quick(self, design: Design, block: str) -> tuple[GateOutcome, ...]:
        return tuple(self.check_block(design, block, gate) for gate in ("policy", "lint", "simulate"))

    def check_tests(self, design: Design, block: str, tests: Sequence[Proposal]) -> GateOutcome:
        """Lean blocks fail the scenario `corners`."""
        bad = _variant(design, block) == "lean" and any(test.scenario == "corners" for test in tests)
        return GateOutcome("extra", block, not bad, ("proposed corners: acc.data is 1, expected 2",) if bad else ())

    def grade_test(self, block: str, test: Proposal) -> Grade:
        return Grade(("a fault",)) if test.scenario == "corners" else Grade((), "it finds none of the 3 faults")

    def check_design(self, design: Design, gate: str) -> GateOutcome:
        self._work()
        bad = self.refuse_design(design, gate)
        return GateOutcome(gate, "design", not bad, ("layer 0 differs",) if bad else ())

    def block_cost(self, design: Design, block: str) -> BlockCost:
        self._work()
        area, period = VARIANTS[_variant(design, block)]
        p = design.manifest.parameters
        base = {"array": 9.0, "requantizer": 8.0}.get(block, 4.0)
        return BlockCost(60 * size(block, p) * area, base * period, 0.001 * size(block, p) * area)

    def block_report(self, design: Design, block: str) -> BlockReport:
        return BlockReport(self.block_cost(design, block), 40, "a_q", "b_q", (("u1/Y", "NAND2X1", 0.5),))

    def block_parts(self, design: Design, block: str) -> tuple[Part, ...]:
        cost = self.block_cost(design, block)
        return Part(block, 1, 0.25 * cost.area_um2), Part(f"{block}_lane", 4, 0.2 * cost.area_um2)

    def cone(self, design: Design, block: str, outputs: Sequence[str]) -> tuple[Register, ...]:
        return tuple(Register(before, f"{block}.v", 3 + before, f"{name}_q") for before, name in enumerate(outputs))

    def model_cycles(self, manifest: Manifest) -> int | None:
        needs = {"MATRIX_PARAMS": 128, "VECTOR_PARAMS": 64, "ROW_SCALES": 64 // manifest.tile, "ACT_TABLES": 1}
        if any(manifest.parameters[name] < need for name, need in needs.items()) or manifest.scratchpad_bytes < 4096:
            return None
        return 2000 + 400_000 // manifest.macs_per_cycle + 8000 // manifest.parameters["ACT_LANES"]

    def cycle_use(self, manifest: Manifest) -> CycleUse | None:
        cycles = self.model_cycles(manifest)
        if cycles is None:
            return None
        lost = {"load": cycles // 4, "vector": 0, "fill": cycles // 8}
        layer = LayerUse("scores", cycles, 0.6, "load")
        return CycleUse(cycles, cycles * 5 // 8, lost, {"matrix_unit": {"GEMM": cycles * 5 // 8}}, (layer,))

    def measure(self, design: Design) -> Measured:
        self._work()
        costs = [self.block_cost(design, block) for block in contracts.names()]
        cycles = self.model_cycles(design.manifest)
        assert cycles is not None
        period = 1.05 * max(cost.period_ns for cost in costs)
        return Measured(1.02 * sum(cost.area_um2 for cost in costs), period, 5.0, cycles, 0.5)

    def _work(self) -> None:
        self.calls += 1
        time.sleep(self.delay_s)


def _variant(design: Design, block: str) -> str:
    text = (design.folder / "rtl" / f"{block}.v").read_text()
    return text.splitlines()[0].removeprefix("// ")


def toy_designer(campaign: object, evaluator: Evaluator) -> SearchDesigner:
    """The real search designer over the toy library."""
    return SearchDesigner(ToyLibrary(), Space(campaign.spec, evaluator.model_cycles))  # type: ignore[attr-defined]
