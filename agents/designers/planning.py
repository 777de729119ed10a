"""The LLM designer's plan of a round: what the planner is shown, and what its answer becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from agents.cost import choice_of
from agents.cycle_use import described
from agents.designers import Candidate, Context, Plan, WorkOrder, outlook
from agents.designers.baseline import order_for
from agents.designers.library import Library, chosen
from agents.designers.space import Space
from agents.ledger import pareto_front
from agents.parameters import relevant
from agents.records import Revision
from agents.roles import block_table, bounds
from agents.roles.answers import BlockOrder, PlannerAnswer
from hwlib import contracts
from hwlib.errors import InputError, plain

CARRY = "carry over"
"""Intent of an order that takes the best design's block as it is, to be verified at new parameters."""
_WHAT = 100
"""Characters of what is said of a block in the planner's table."""
_FRONT = 8
"""Designs of the archive that a planner is shown."""
_TRIED = 4
"""Other candidates of a block that a planner is shown."""
MOST_TRIED = 64
"""Templates a plan may try: each takes some ten seconds."""


@dataclass(frozen=True)
class Means:
    """What a plan is made with. said: role, model and prompt version behind it; drafts: of each written block."""

    library: Library
    space: Space
    drafts: int
    said: tuple[str, str, str]


def accepted(answer: PlannerAnswer, context: Context, means: Means) -> Plan:
    """The plan in the answer; ValueError says what about it is impossible."""
    base, said = _parent(answer.parent, context), means.said
    reason = plain(answer.reason, bounds.REASON)
    if answer.stop or not (answer.orders or answer.parameters or answer.templates):
        return Plan(base.parameters, (), f"stopped by the planner: {reason}", *said)
    parameters = base.parameters | {setting.name: setting.value for setting in answer.parameters}
    try:
        contracts.load("top").check(parameters)
    except InputError as error:
        raise ValueError(str(error)) from error
    if over := means.space.refusal(parameters):
        raise ValueError(over)
    if means.space.cycles(parameters) is None:
        raise ValueError(f"the workload does not fit these parameters, or they break a rule: {parameters}")
    try:
        orders = [_order(context.round, order, means.library) for order in answer.orders]
        choices = dict.fromkeys(chosen(means.library, take.block, take.template) for take in answer.templates)
    except InputError as error:
        raise ValueError(str(error)) from error
    if len(choices) > MOST_TRIED:
        raise ValueError(f"{len(choices)} templates: try at most {MOST_TRIED} a round, the most promising")
    carried = carry_over(context.round, base, parameters, {order.block for order in orders})
    room = context.orders_left - len(carried) - -(-len(choices) // context.templates_an_order)
    if len(orders) > room:
        what = f"{len(orders)} orders, {len(choices)} templates and {len(carried)} blocks at changed parameters"
        raise ValueError(f"{what} would have to be verified; the budget does for {context.orders_left} orders, "
                         f"or {context.templates_an_order} templates in place of each")  # fmt: skip
    tried = [order_for(context.round, choice) for choice in choices]
    written = drafted(orders, means.drafts, room)
    return Plan(parameters, (*written, *carried, *tried), reason, *said, parent=base.revision)


def carry_over(round_: int, base: Revision, parameters: dict[str, int], written: set[str]) -> list[WorkOrder]:
    """Orders of the blocks that are not written but must be verified again at new parameters."""
    moved = [b for b in contracts.names() if relevant(b, parameters) != relevant(b, base.parameters)]
    return [WorkOrder(round_, block, intent=CARRY) for block in moved if block not in written]


def drafted(orders: Sequence[WorkOrder], drafts: int, room: int) -> tuple[WorkOrder, ...]:
    """Each order as so many drafts as were asked for and there is room for, the first ones first."""
    fit = max(1, min(drafts, room // len(orders))) if orders else 1
    return tuple(replace(order, draft=number) for number in range(fit) for order in orders)


def _parent(word: str, context: Context) -> Revision:
    """The design to build on: the best, or the one of the archive that the planner names (rN)."""
    assert context.base is not None, "the baseline comes first"
    if not word.strip():
        return context.base
    known = {f"r{r.round}": r for r in context.revisions if r.figures is not None}
    if word.strip() not in known:
        raise ValueError(f"there is no measured design '{plain(word, 20)}': name one of {', '.join(known)}, or none")
    return known[word.strip()]


def _order(round_: int, order: BlockOrder, library: Library) -> WorkOrder:
    if order.block not in contracts.names():
        raise ValueError(f"there is no block '{plain(order.block, 40)}'")
    start = chosen(library, order.block, order.template).described if order.template.strip() else ""
    hoped = {"area": order.area_percent, "period": order.period_percent, "cycles": order.cycles_percent}
    expected = {figure: float(percent) for figure, percent in hoped.items() if percent}
    intent = plain(order.intent, bounds.INTENT)
    why = plain(order.hypothesis, bounds.REASON)
    words = f"{intent} ({why})" if why else intent
    return WorkOrder(round_, order.block, intent=words, expected=expected, start=start)


def shown(context: Context, space: Space) -> dict[str, Any]:
    """What the planner's prompt needs."""
    base = context.base
    assert base is not None, "the baseline comes first"
    known = {candidate.id: candidate for candidate in context.candidates}
    parts = [known[identity] for identity in base.blocks.values()]
    constraints = [plain(reason, bounds.REASON) for _, reason in context.rejections[-bounds.CONSTRAINTS :]]
    limits = context.spec.budgets.model_dump(include={"area_um2", "power_mw", "latency_us"}, exclude_none=True)
    use = space.use(base.parameters)
    front = sorted(pareto_front(list(context.revisions)), key=lambda r: r.figures.objective if r.figures else 0)
    return {
        "spec": context.spec, "best": base, "revisions": context.revisions[-bounds.REVISIONS :],
        "lessons": context.lessons, "constraints": constraints, "round": context.round, "budgets": limits,
        "rounds_left": context.rounds_left,
        "orders_left": context.orders_left, "parameters": contracts.load("top").parameters,
        "table": block_table.table(), "templates": block_table.trades(), "front": front[:_FRONT],
        "blocks": [_row(part, context) for part in parts],
        "critical_path": critical_path(base), "tried": _tried(context, base),
        "cycles": described(use) if use else [], "modelled": use.cycles if use else 0,
        "steps": outlook.steps(space, base.parameters), "arrays": outlook.arrays(space),
    }  # fmt: skip


def critical_path(revision: Revision) -> str:
    """Where the whole's slowest path begins and ends, as synthesis named it; empty if it did not."""
    metrics = next((gate.metrics for gate in revision.gates if gate.gate == "synthesise"), {})
    return plain(str(metrics.get("critical_path", "")), bounds.REASON)


def _row(part: Candidate, context: Context) -> dict[str, str]:
    cost = part.cost
    area, period = ("?", "?") if cost is None else (f"{cost.area_um2:.0f}", f"{cost.period_ns:.2f}")
    return {"block": part.block, "what": _what(part, context), "area": area, "period": period}


def _what(part: Candidate, context: Context) -> str:
    """The template with its options, or what its writer says of it; of one that was carried over, what it was."""
    if part.order.intent == CARRY:
        same = (c for c in context.candidates if c.files == part.files and c.order.intent != CARRY)
        part = next(same, part)
    return choice_of(part.order).described or plain(part.note or part.order.intent, _WHAT)


def _tried(context: Context, base: Revision) -> list[str]:
    """Of each block what else was measured at the base's parameters, each text once, least area times period first."""
    lines = []
    for block, kept in base.blocks.items():
        here = relevant(block, base.parameters)
        measured = [c for c in context.candidates if c.block == block and c.passed and c.cost is not None]
        texts = {repr(sorted(c.files.items())): c for c in measured if relevant(block, c.parameters) == here}
        own = next((repr(sorted(c.files.items())) for c in measured if c.id == kept), "")
        others = [c for text, c in texts.items() if text != own]
        best = sorted(others, key=lambda c: c.cost.area_um2 * c.cost.period_ns if c.cost else 0.0)[:_TRIED]
        said = [f"{_what(c, context)}{_unsure(c)}: {c.cost.area_um2:.0f} um2, {c.cost.period_ns:.2f} ns"
                for c in best if c.cost]  # fmt: skip
        lines += [f"{block}: {'; '.join(said)}"] if said else []
    return lines


def _unsure(part: Candidate) -> str:
    """A template is simulated once it is taken."""
    return "" if any(outcome.gate == "simulate" for outcome in part.outcomes) else " (not simulated yet)"
