"""The LLM designer: a planner, an RTL writer and a verifier, each a prompt with a validated answer.

Round 0 is the same baseline as the search designer's. The writer sees the contract, the block's own current text and
findings; it never sees the expert's RTL. On one order, writer and verifier take turns in one conversation (`talk`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from agents import extra_tests
from agents.cost import choice_of
from agents.designers import Candidate, Context, Files, Plan, Reading, Talk, Unanswered, WorkOrder, Written, planning
from agents.designers.baseline import baseline
from agents.designers.library import Library
from agents.designers.planning import CARRY
from agents.designers.space import Space
from agents.models import Model, Request
from agents.models.team import Team
from agents.records import GateOutcome
from agents.roles import block_talk, omissions, prompts, writer
from agents.roles.answers import BlockAnswer, PlannerAnswer
from agents.roles.ask import ask
from agents.roles.condense import FAULTS, LINE, condense
from agents.tools.aim import wanted
from agents.tools.desk import Desk
from hwlib import contracts
from hwlib.contracts.schema import Contract
from verification import proposals
from verification.proposals import Proposal

TESTS = 1
"""Proposed tests that are graded after one refusal."""


class LlmDesigner:
    """See the module. The team's models should retry, record and meter; a single model plays all roles."""

    name = "llm"

    def __init__(
        self, team: Team | Model, library: Library, space: Space, *, drafts: int = 1, without: tuple[str, ...] = ()
    ) -> None:
        self._team = team if isinstance(team, Team) else Team.alone(team)
        self._drafts, self._without = drafts, frozenset(without)
        self._library = library
        self._space = space

    def plan(self, context: Context) -> Plan:
        """The baseline, then what the planner says; an unusable answer ends the campaign with the best so far."""
        base = context.base
        if base is None:
            return baseline(context, self._library, self._space)
        if "lessons" in self._without:
            context = replace(context, lessons=())
        if self._without & {"planner", "roles"}:
            return omissions.planned(context, told="roles" in self._without)
        version = prompts.version("planner")
        said = ("planner", self._team.planner.name, version)
        try:
            messages = prompts.begin("planner", **planning.shown(context))
            request = Request("planner", version, messages, prompts.schema("planner"), round=context.round)
            return ask(
                self._team.planner, request, PlannerAnswer,
                lambda answer: planning.accepted(answer, context, self._space, self._drafts, said),
            ).value  # fmt: skip
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
            on = Talk(said.messages, step + 1)
            return Written(said.value.files, writers[step].name, version, on, said.value.note)
        raise AssertionError("the last step answers or raises")

    def read(self, order: WorkOrder, files: Files, outcomes: Sequence[GateOutcome], desk: Desk, talk: Talk) -> Reading:
        """The verifier's findings after the gates' own, none if it gives the block up; templates and carried blocks are
        not mended."""
        if order.variant or order.intent == CARRY:
            return Reading([])
        if self._without & {"condensation", "roles"}:
            return Reading([f"{o.gate}: {text}" for o in outcomes if not o.passed for text in o.findings], talk)
        contract = contracts.load(order.block)
        seen = [(outcome, condense(outcome, contract)) for outcome in outcomes]
        facts = [f"{outcome.gate}: {finding}" for outcome, findings in seen for finding in findings]
        scenarios = proposals.names(order.block) if order.block != "top" else ()
        messages = block_talk.judged(talk.messages, seen, scenarios)
        if not messages:
            fresh = block_talk.opened(order, files, (), wanted(desk), writing=False)
            again = block_talk.shorter(talk.messages, fresh)
            messages = block_talk.judged(again, seen, scenarios) or block_talk.judged(fresh, seen, scenarios)
        try:
            said = block_talk.turn(self._team.verifier, "verifier", order, messages, lambda answer: answer)
        except Unanswered:
            return Reading(facts, talk)
        for test in said.value.tests[:TESTS]:
            extra_tests.offer(Proposal(**test.model_dump()), desk)
        findings = facts + _bounded(said.value) if said.value.findings else []
        return Reading(findings, replace(talk, messages=said.messages))

    def select(
        self, context: Context, parameters: dict[str, int], offers: Mapping[str, Sequence[Candidate]]
    ) -> dict[str, str]:
        """What this round wrote, where it passed, and the best of several drafts; elsewhere the base's block."""
        return {block: _select_one(context, block, offered) for block, offered in offers.items()}


def _bounded(answer: BlockAnswer) -> list[str]:
    """The verifier's findings, as many and as long as a writer's prompt has room for."""
    return [finding[:LINE] for finding in answer.findings[: 2 * FAULTS]]


def _select_one(context: Context, block: str, offered: Sequence[Candidate]) -> str:
    kept = context.base.blocks.get(block, "") if context.base else ""
    fresh = [candidate for candidate in offered if candidate.order.round == context.round]
    if fresh:
        return min(fresh, key=lambda candidate: _worth(context, candidate)).id
    return next((candidate.id for candidate in offered if candidate.id == kept), offered[0].id)


def _worth(context: Context, candidate: Candidate) -> float:
    """The base with this draft in it, by the objective, smaller is better; a block faster than all others helps no
    further."""
    base = context.base
    kept = set(base.blocks.values()) - {base.blocks.get(candidate.block)} if base else set()
    others = [c.cost for c in context.candidates if c.id in kept and c.cost]
    if candidate.cost is None:
        return float("inf")
    area = candidate.cost.area_um2 + sum(cost.area_um2 for cost in others)
    period = max(candidate.cost.period_ns, *(cost.period_ns for cost in others), 0.0)
    return {"area": area, "delay": period + 1e-9 * area}.get(context.spec.objective, area * period)
