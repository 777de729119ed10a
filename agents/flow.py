"""The judge of real campaigns: the gates of `verification` and the compiler and cycle model of `mfm`."""

from __future__ import annotations

from agents.designers import BlockCost
from agents.evaluator import Measured
from agents.records import GateOutcome
from hwlib.design import Design, Manifest
from hwlib.errors import InputError
from hwlib.spec import Spec


class FlowEvaluator:
    """Judges for one spec."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec

    def check_block(self, design: Design, block: str, gate: str) -> GateOutcome:
        raise InputError("the gates are not built yet", "verification")

    def check_design(self, design: Design, gate: str) -> GateOutcome:
        raise InputError("the gates are not built yet", "verification")

    def block_cost(self, design: Design, block: str) -> BlockCost:
        raise InputError("the gates are not built yet", "verification")

    def fits(self, manifest: Manifest) -> bool:
        raise InputError("the gates are not built yet", "verification")

    def model_cycles(self, manifest: Manifest) -> int | None:
        raise InputError("the gates are not built yet", "verification")

    def measure(self, design: Design) -> Measured:
        raise InputError("the gates are not built yet", "verification")
