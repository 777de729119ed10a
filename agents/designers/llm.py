"""The LLM designer: a planner, an RTL writer and a verifier, each a prompt with a validated answer.

Round 0 is the same baseline as the search designer's. The writer sees the contract, the block's own current text and
findings; it never sees the expert's RTL. On one order, writer and verifier take turns in one conversation (`talk`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from agents.cost import choice_of
from agents.designers import Candidate, Context, Files, Plan, Reading, Talk, Unanswered, WorkOrder, Written
from agents.designers.baseline import baseline
from agents.designers.library import Library
from agents.designers.space import Space
from agents.models import Model, Request
from agents.models.team import Team
from agents.parameters import relevant
from agents.records import GateOutcome
from agents.roles import block_talk, bounds, prompts, writer
from agents.roles.answers import BlockAnswer, PlannerAnswer
from agents.roles.ask import ask
from agents.roles.condense import FAULTS, LINE, condense
from agents.tools.desk import Desk
from hwlib import contracts
from hwlib.contracts.schema import Contract
from hwlib.errors import InputError, plain

CARRY = "carry over"
"""Intent of an order that takes the best design's block as it is, to be verified at new parameters."""
_WHAT = 100
"""Characters of a block's intent in the planner's table."""


class LlmDesigner:
    """See the module. The team's models should retry, record and meter; a single model plays all roles."""

    name = "llm"

    def __init__(self, team: Team | Model, library: Library, space: Space) -> None:
        self._team = team if isinstance(team, Team) else Team.alone(team)
        self._library = library
        self._space = space

    def plan(self, context: Context) -> Plan:
        """The baseline, then what the planner says; an unusable answer ends the campaign with the best so far."""
        base = context.base
        if base is None:
            return baseline(context, self._library, self._space)
        try:
            request = Request(
                "planner", prompts.version("planner"), prompts.begin("planner", **_planner_values(context)),
                prompts.schema("planner"), round=context.round,
            )  # fmt: skip
            return ask(self._team.planner, request, PlannerAnswer, lambda answer: self._accept(answer, context)).value
        except Unanswered as error:
            return Plan(base.parameters, (), str(error))

    def write(
        self, order: WorkOrder, contract: Contract, parent: Files, findings: Sequence[str], desk: Desk, talk: Talk
    ) -> Written:
        """A template for the baseline, the parent as it is to carry over, otherwise what the writer says.

        With a cascade each attempt is the next model's; so is one at which a model gave no usable answer.
        """
        if order.variant:
            return Written(self._library.render(choice_of(order)))
        if order.intent == CARRY:
            return Written(parent)
        writers = self._team.writer
        for step in range(min(talk.step, len(writers) - 1), len(writers)):
            try:
                said = writer.write(writers[step], order, parent, findings, desk, talk.messages)
            except Unanswered:
                if step + 1 == len(writers):
                    raise
                continue
            version = prompts.version("rtl_writer")
            return Written(said.value, writers[step].name, version, Talk(said.messages, step + 1))
        raise AssertionError("the last step answers or raises")

    def read(self, order: WorkOrder, files: Files, outcomes: Sequence[GateOutcome], talk: Talk) -> Reading:
        """The verifier's findings after the gates' own; templates and carried blocks are not mended."""
        if order.variant or order.intent == CARRY:
            return Reading([])
        contract = contracts.load(order.block)
        seen = [(outcome, condense(outcome, contract)) for outcome in outcomes]
        facts = [f"{outcome.gate}: {finding}" for outcome, findings in seen for finding in findings]
        messages = block_talk.judged(talk.messages, seen)
        if not messages:
            messages = block_talk.judged(block_talk.opened(order, files, (), writing=False), seen)
        try:
            said = block_talk.turn(self._team.verifier, "verifier", order, messages, _bounded)
        except Unanswered:
            return Reading(facts, talk)
        return Reading(facts + said.value, replace(talk, messages=said.messages))

    def select(
        self, context: Context, parameters: dict[str, int], offers: Mapping[str, Sequence[Candidate]]
    ) -> dict[str, str]:
        """What this round wrote, where it passed; elsewhere the best design's block."""
        kept = context.base.blocks if context.base else {}
        return {block: _select_one(context.round, kept.get(block, ""), offered) for block, offered in offers.items()}

    def _accept(self, answer: PlannerAnswer, context: Context) -> Plan:
        """The plan in the answer; ValueError says what about it is impossible."""
        assert context.base is not None, "the baseline comes first"
        said = ("planner", self._team.planner.name, prompts.version("planner"))
        reason = plain(answer.reason, bounds.REASON)
        if answer.stop or (not answer.orders and not answer.parameters):
            return Plan(context.base.parameters, (), f"stopped by the planner: {reason}", *said)
        parameters = context.base.parameters | {setting.name: setting.value for setting in answer.parameters}
        try:
            contracts.load("top").check(parameters)
        except InputError as error:
            raise ValueError(str(error)) from error
        if self._space.cycles(parameters) is None:
            raise ValueError(f"the workload does not fit these parameters, or they break a rule: {parameters}")
        orders = [_order(context.round, order.block, order.intent) for order in answer.orders]
        moved = {b for b in contracts.names() if relevant(b, parameters) != relevant(b, context.base.parameters)}
        orders += [_order(context.round, b, CARRY) for b in contracts.names() if b in moved - {o.block for o in orders}]
        if len(orders) > context.orders_left:
            raise ValueError(f"{len(orders)} blocks would have to be verified; the budget allows {context.orders_left}")
        return Plan(parameters, tuple(orders), reason, *said)


def _bounded(answer: BlockAnswer) -> list[str]:
    """The verifier's findings, as many and as long as a writer's prompt has room for."""
    return [finding[:LINE] for finding in answer.findings[: 2 * FAULTS]]


def _order(round_: int, block: str, intent: str) -> WorkOrder:
    if block not in contracts.names():
        raise ValueError(f"there is no block '{block}'")
    return WorkOrder(round_, block, intent=plain(intent, bounds.INTENT))


def _select_one(round_: int, kept: str, offered: Sequence[Candidate]) -> str:
    fresh = [candidate.id for candidate in offered if candidate.order.round == round_]
    known = [candidate.id for candidate in offered if candidate.id == kept]
    return (fresh or known or [candidate.id for candidate in offered])[0]


def _planner_values(context: Context) -> dict[str, object]:
    assert context.base is not None, "the baseline comes first"
    known = {candidate.id: candidate for candidate in context.candidates}
    parts = [known[identity] for identity in context.base.blocks.values()]
    constraints = [plain(reason, bounds.REASON) for _, reason in context.rejections[-bounds.CONSTRAINTS :]]
    limits = context.spec.budgets.model_dump(include={"area_um2", "power_mw", "latency_us"}, exclude_none=True)
    return {
        "spec": context.spec, "best": context.base, "revisions": context.revisions[-bounds.REVISIONS :],
        "lessons": context.lessons, "constraints": constraints, "round": context.round, "budgets": limits,
        "orders_left": context.orders_left, "parameters": contracts.load("top").parameters,
        "names": contracts.names(), "blocks": [_row(part) for part in parts],
    }  # fmt: skip


def _row(part: Candidate) -> dict[str, str]:
    cost = part.cost
    area, period = ("?", "?") if cost is None else (f"{cost.area_um2:.0f}", f"{cost.period_ns:.2f}")
    return {
        "block": part.block,
        "what": part.order.variant or plain(part.order.intent, _WHAT),
        "area": area,
        "period": period,
    }
