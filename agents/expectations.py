"""What an order was expected to change, held against what was measured: a lesson for the next plan."""

from __future__ import annotations

from collections.abc import Sequence

from agents.designers import BlockCost, Candidate, WorkOrder

FIGURES = {"area": "area_um2", "period": "period_ns"}


def of_block(candidate: Candidate, was: BlockCost | None, moved: bool = False) -> str:
    """Area and period of the block against the block it replaces, and its writer's word on why; empty if nothing was
    expected or said, or it was not measured. `moved`: parameters it depends on changed, too."""
    now, order = candidate.cost, candidate.order
    if was is None or now is None:
        return ""
    found = {name: _percent(getattr(was, field), getattr(now, field)) for name, field in FIGURES.items()}
    wanted = {name: change for name, change in order.expected.items() if name in found}
    if not wanted and not candidate.note:
        return ""
    said = ", ".join(_said(name, wanted.get(name, 0.0) if wanted else None, change) for name, change in found.items())
    also = ", the change of parameters included" if moved else ""
    return f"{order.block}: {said}{also}" + (f" ({candidate.note})" if candidate.note else "")


def of_cycles(orders: Sequence[WorkOrder], was: int, now: int) -> str:
    """The workload's cycles against those of the design built on; empty if no order expected a change of them."""
    wanted = [order.expected["cycles"] for order in orders if "cycles" in order.expected]
    return f"the whole: {_said('cycles', sum(wanted), _percent(was, now))}" if wanted else ""


def _percent(was: float, now: float) -> float:
    return 100 * (now / was - 1) if was else 0.0


def _said(name: str, wanted: float | None, found: float) -> str:
    expected = "" if wanted is None else f"expected {wanted:+.0f} %, "
    return f"{name} {expected}measured {found:+.1f} %"
