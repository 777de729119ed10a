"""Parts of the LLM designer that a campaign may go without, to see what each is worth (`rtloom ablate`)."""

from __future__ import annotations

from agents.designers import Context, Plan, WorkOrder
from agents.roles import bounds
from hwlib.errors import InputError, plain

OMISSIONS = {
    "planner": "orders follow a fixed rule: the largest block and the slowest in turn, one a round",
    "lessons": "neither planner nor writer hears of what earlier rounds showed",
    "condensation": "gates' findings go to the writer as they are, and no verifier reads them",
    "roles": "one agent: no planner and no verifier; the writer sees figures and lessons with its order",
}
"""What --without names, and what it means."""


def check(names: tuple[str, ...], besides: tuple[str, ...] = ()) -> None:
    """InputError for a name that is none of OMISSIONS; others that are known are named in it."""
    for name in names:
        if name not in OMISSIONS:
            raise InputError(f"nothing called '{plain(name, 40)}' to go without", "--without",
                             f"use one or more of {', '.join((*OMISSIONS, *besides))}")  # fmt: skip


def planned(context: Context, told: bool) -> Plan:
    """One order by rule: in odd rounds the block with the largest area, in even ones the slowest, each block once
    before any comes again. `told`: the order carries figures and lessons."""
    base = context.base
    assert base is not None, "the baseline comes first"
    known = {c.id: c for c in context.candidates}
    costs = {block: known[identity].cost for block, identity in base.blocks.items()}
    tried = [c.block for c in context.candidates if c.order.intent and not c.order.variant]
    fewest = min((tried.count(block) for block in costs), default=0)
    left = {block: cost for block, cost in costs.items() if cost is not None and tried.count(block) == fewest}
    if not left or not context.orders_left:
        return Plan(base.parameters, (), "no block is left to order")
    large = context.round % 2 == 1
    block = max(left, key=lambda name: left[name].area_um2 if large else left[name].period_ns)
    aim = "smaller, at the period it has" if large else "faster, for little area"
    intent = f"make it {aim}" + (f"\n{_told(context)}" if told else "")
    return Plan(base.parameters, (WorkOrder(context.round, block, intent=intent),), f"{block}: {aim}")


def _told(context: Context) -> str:
    """The best design's figures and the lessons, for a writer that plans for itself."""
    base = context.base
    f = base.figures if base else None
    assert f is not None, "only measured designs are built on"
    lines = [f"Best design so far: area {f.area_um2:.0f} um2, period {f.period_ns:.2f} ns, {f.cycles} cycles."]
    lines += [f"Lesson: {plain(lesson, bounds.REASON)}" for lesson in context.lessons[-6:]]
    return "\n".join(lines)
