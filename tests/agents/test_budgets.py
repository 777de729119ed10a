"""What the gates are told of a spec's budgets."""

from __future__ import annotations

from agents.strictness import gate_context
from hwlib.spec import Budgets, Spec


def test_the_budgets_of_a_spec_reach_the_gates() -> None:
    context = gate_context(Spec(name="x", clock_ns=9.0, budgets=Budgets(area_um2=1e6, power_mw=5.0)))
    assert (context.clock_ns, context.area_limit_um2, context.power_limit_mw) == (9.0, 1e6, 5.0)
    assert gate_context(Spec(name="x")).area_limit_um2 is None
