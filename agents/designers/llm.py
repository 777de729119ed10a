"""The LLM designer: a planner, an RTL writer and a verifier, each a prompt with a validated answer.

Round 0 is the same baseline as the search designer's. The writer sees the contract, the block's own current text and
findings; it never sees the expert's RTL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agents import extra_tests
from agents.cost import choice_of
from agents.designers import Candidate, Context, Files, Plan, Unanswered, WorkOrder, Written
from agents.designers.baseline import baseline
from agents.designers.library import Library
from agents.designers.space import Space
from agents.models import Model
from agents.parameters import relevant
from agents.records import GateOutcome
from agents.roles import prompts, writer
from agents.roles.answers import PlannerAnswer, VerifierAnswer
from agents.roles.ask import ask
from agents.roles.condense import FAULTS, LINE, condense
from agents.tools.desk import Desk
from hwlib import contracts
from hwlib.contracts.schema import Contract
from hwlib.errors import InputError
from verification import proposals
from verification.proposals import Proposal

TESTS = 1
"""Proposed tests that are graded after one refusal."""
CARRY = "carry over"
"""Intent of an order that takes the best design's block as it is, to be verified at new parameters."""


class LlmDesigner:
    """See the module. `model` should retry, record and meter."""

    name = "llm"

    def __init__(self, model: Model, library: Library, space: Space) -> None:
        self._model = model
        self._library = library
        self._space = space

    def plan(self, context: Context) -> Plan:
        """The baseline, then what the planner says; an unusable answer ends the campaign with the best so far."""
        base = context.base
        if base is None:
            return baseline(context, self._library, self._space)
        try:
            return ask(
                self._model, "planner", PlannerAnswer, lambda answer: self._accept(answer, context),
                round_=context.round, **planner_values(context),
            )  # fmt: skip
        except Unanswered as error:
            return Plan(base.parameters, (), str(error))

    def write(
        self, order: WorkOrder, contract: Contract, parent: Files, findings: Sequence[str], desk: Desk
    ) -> Written:
        """A template for the baseline, the parent as it is to carry over, otherwise what the writer says."""
        if order.variant:
            return Written(self._library.render(choice_of(order)))
        if order.intent == CARRY:
            return Written(parent)
        files = writer.write(self._model, order, contract, parent, findings, desk)
        return Written(files, self._model.name, prompts.version("rtl_writer"))

    def read(self, order: WorkOrder, files: Files, outcomes: Sequence[GateOutcome], desk: Desk) -> list[str]:
        """The verifier's findings after the gates' own, none if it gives the block up; templates and carried blocks are
        not mended."""
        if order.variant or order.intent == CARRY:
            return []
        contract = contracts.load(order.block)
        seen = [(outcome, condense(outcome, contract)) for outcome in outcomes]
        facts = [f"{outcome.gate}: {finding}" for outcome, findings in seen for finding in findings]
        try:
            answer = ask(
                self._model, "verifier", VerifierAnswer, lambda answer: answer, round_=order.round, files=files,
                block=order.block, intent=order.intent, outcomes=seen, contract=contract,
                scenarios=proposals.names(order.block) if order.block != "top" else (),
            )  # fmt: skip
        except Unanswered:
            return facts
        for test in answer.tests[:TESTS]:
            extra_tests.offer(Proposal(**test.model_dump()), desk)
        return facts + _bounded(answer) if answer.findings else []

    def select(
        self, context: Context, parameters: dict[str, int], offers: Mapping[str, Sequence[Candidate]]
    ) -> dict[str, str]:
        """What this round wrote, where it passed; elsewhere the best design's block."""
        kept = context.base.blocks if context.base else {}
        return {block: _select_one(context.round, kept.get(block, ""), offered) for block, offered in offers.items()}

    def _accept(self, answer: PlannerAnswer, context: Context) -> Plan:
        """The plan in the answer; ValueError says what about it is impossible."""
        assert context.base is not None, "the baseline comes first"
        said = ("planner", self._model.name, prompts.version("planner"))
        if answer.stop or (not answer.orders and not answer.parameters):
            return Plan(context.base.parameters, (), f"stopped by the planner: {answer.reason}", *said)
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
        return Plan(parameters, tuple(orders), answer.reason, *said)


def _bounded(answer: VerifierAnswer) -> list[str]:
    """The verifier's findings, as many and as long as a writer's prompt has room for."""
    return [finding[:LINE] for finding in answer.findings[: 2 * FAULTS]]


def _order(round_: int, block: str, intent: str) -> WorkOrder:
    if block not in contracts.names():
        raise ValueError(f"there is no block '{block}'")
    return WorkOrder(round_, block, intent=intent)


def _select_one(round_: int, kept: str, offered: Sequence[Candidate]) -> str:
    fresh = [candidate.id for candidate in offered if candidate.order.round == round_]
    known = [candidate.id for candidate in offered if candidate.id == kept]
    return (fresh or known or [candidate.id for candidate in offered])[0]


def planner_values(context: Context) -> dict[str, Any]:
    """What the planner's prompt says of the campaign."""
    assert context.base is not None, "the baseline comes first"
    known = {candidate.id: candidate for candidate in context.candidates}
    parts = [known[identity] for identity in context.base.blocks.values()]
    bounds = context.spec.budgets.model_dump(include={"area_um2", "power_mw", "latency_us"}, exclude_none=True)
    return {
        "spec": context.spec, "best": context.base, "revisions": context.revisions, "lessons": context.lessons,
        "constraints": [reason for _, reason in context.rejections], "round": context.round, "budgets": bounds,
        "orders_left": context.orders_left, "parameters": contracts.load("top").parameters,
        "names": contracts.names(), "blocks": [_row(part) for part in parts],
    }  # fmt: skip


def _row(part: Candidate) -> dict[str, str]:
    cost = part.cost
    area, period = ("?", "?") if cost is None else (f"{cost.area_um2:.0f}", f"{cost.period_ns:.2f}")
    return {"block": part.block, "what": part.order.variant or part.order.intent, "area": area, "period": period}
