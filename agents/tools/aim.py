"""What a block's figures are worth to the whole design: what its writer should aim at."""

from __future__ import annotations

from collections.abc import Mapping

from agents.designers import BlockCost
from agents.parameters import relevant
from agents.tools.desk import Built, Desk

CLOCKED = ("area_delay", "delay", "energy_delay")
"""Objectives that the period is part of."""


def wanted(desk: Desk) -> str:
    """See `aim`, of the desk's block; with the parameters it will have, and those of the figures if they are others."""
    now, was = (relevant(desk.block, parameters) for parameters in (desk.parameters, desk.base.parameters))
    lines = [f"In this design: {_said(now)}."] if now else []
    if was and was != now:
        lines.append(f"What follows was measured before the parameters changed, at {_said(was)}.")
    return "\n".join([*lines, aim(desk.block, desk.base, desk.campaign.spec.objective)])


def _said(parameters: Mapping[str, int]) -> str:
    return " ".join(f"{name}={value}" for name, value in parameters.items())


def aim(block: str, built: Built, objective: str) -> str:
    """The figures to better, a line each, and which of them counts: the period only above the slowest other block's,
    as this round has left it where it has."""
    cost, figures = built.cost, built.figures
    lines = [f"{block}: {said(cost) if cost else 'none yet'}"]
    if figures is None:
        return "\n".join([*lines, "design: not measured yet"])
    lines.append(
        f"design: area {figures.area_um2:.0f} um2, period {figures.period_ns:.2f} ns, {figures.cycles} cycles, "
        f"objective ({objective}) {figures.objective:.5g}"
    )
    lines += [_reached(name, now, built.others.get(name)) for name, now in sorted(built.reached.items())]
    if cost is not None and figures.area_um2:
        lines.append(f"Of the design's area {block} is {100 * cost.area_um2 / figures.area_um2:.1f} %.")
    others = {**built.others, **built.reached}
    if cost is not None and others and objective in CLOCKED:
        lines.append(_worth(cost, others, objective == "delay"))
    return "\n".join(lines)


def _reached(name: str, now: BlockCost, was: BlockCost | None) -> str:
    before = f", where the design has {said(was)}" if was else ""
    return f"{name}, written in this round: {said(now)}{before}"


def _worth(cost: BlockCost, others: Mapping[str, BlockCost], only_delay: bool) -> str:
    name, slowest = max(others.items(), key=lambda other: other[1].period_ns)
    limit = slowest.period_ns
    if cost.period_ns <= limit:
        area = "" if only_delay else "Less area always counts. "
        return (
            f"{area}Its period counts only above all others': {name}'s is {limit:.2f} ns, unless the order says it "
            "will be less."
        )
    most = 100 * (1 - limit / cost.period_ns)
    return (
        f"It is the slowest block. A period down to that of {name}, {limit:.2f} ns, makes the design up to "
        f"{most:.1f} % faster; below that nothing is gained, unless the order says that others will be faster."
    )


def said(cost: BlockCost) -> str:
    """Area and period of a block."""
    return f"area {cost.area_um2:.0f} um2, period {cost.period_ns:.2f} ns"
