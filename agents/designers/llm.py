"""The LLM designer: a planner, an RTL writer and a verifier, each a prompt with a validated answer.

Round 0 is the same baseline as the search designer's. The writer sees the contract, the block's own current text and
findings; it never sees the expert's RTL. On one order, writer and verifier take turns in one conversation (`talk`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from agents import extra_tests
from agents.cost import choice_of
from agents.designers import Candidate, Context, Files, Plan, Reading, Talk, Unanswered, WorkOrder, Written, planning
from agents.designers.baseline import baseline
from agents.designers.library import Library, chosen
from agents.designers.planning import CARRY
from agents.designers.space import Space
from agents.evaluator import objective
from agents.mix import Offer, mixes, thrifty
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
            messages = prompts.begin("planner", **planning.shown(context, self._space))
            request = Request("planner", version, messages, prompts.schema("planner"), round=context.round)
            means = planning.Means(self._library, self._space, self._drafts, said)
            accept = partial(planning.accepted, context=context, means=means)
            return ask(self._team.planner, request, PlannerAnswer, accept).value
        except Unanswered as error:
            return Plan(base.parameters, (), str(error))

    def write(
        self, order: WorkOrder, contract: Contract, parent: Files, findings: Sequence[str], desk: Desk, talk: Talk
    ) -> Written:
        """A template as it is, the parent as it is to carry over, otherwise what the writer says.

        With a cascade each attempt is the next model's; so is one at which a model gave no usable answer.
        """
        if order.variant:
            return Written(self._library.render(choice_of(order)))
        if order.intent == CARRY:
            return Written(parent)
        if order.start and not talk.messages and not talk.step:
            parent = self._library.render(chosen(self._library, order.block, order.start))
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
        cone = replace(desk, draft=dict(files)).cone
        seen = [(outcome, condense(outcome, contract, cone)) for outcome in outcomes]
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
        """The best mix for the whole of what each block may be: what this round wrote of it, one draft or several;
        else templates that were tried and the base's block."""
        open_to = {block: _open_to(context, block, offered) for block, offered in offers.items()}
        return {block: candidate.id for block, candidate in _best_mix(context, open_to).items()}


def _bounded(answer: BlockAnswer) -> list[str]:
    """The verifier's findings, as many and as long as a writer's prompt has room for."""
    return [finding[:LINE] for finding in answer.findings[: 2 * FAULTS]]


def _open_to(context: Context, block: str, offered: Sequence[Candidate]) -> list[Candidate]:
    """What `block` may be: what was written, and templates tried beside it, though the base's block looks better, as
    the planner ordered it for the whole's sake; templates alone compete with the base's block, which comes first."""
    kept = context.base.blocks.get(block, "") if context.base else ""
    fresh = [candidate for candidate in offered if candidate.order.round == context.round]
    before = [candidate for candidate in offered if candidate.id == kept]
    written = any(not candidate.order.variant and candidate.order.intent != CARRY for candidate in fresh)
    return fresh if written else [*before, *fresh] or [offered[0]]


def _best_mix(context: Context, open_to: Mapping[str, Sequence[Candidate]]) -> dict[str, Candidate]:
    """The mix of least objective, among those within the spec's clock, area and latency if there are any: as far as
    blocks' figures tell, corrected by how the base's compare with those of its whole."""
    spec, (wider, slower, cycles) = context.spec, _correction(context)
    bounds = (spec.clock_ns, spec.budgets.area_um2, spec.budgets.latency_us)

    def worth(mix: Mapping[str, Offer[Candidate]]) -> tuple[bool, float]:
        costs = [cost for _, cost in mix.values()]
        period, area = slower * max(cost.period_ns for cost in costs), wider * sum(cost.area_um2 for cost in costs)
        energy = sum(cost.cycle_pj or 0.0 for cost in costs) * cycles
        figures = (period, area, cycles * period / 1e3)
        over = any(bound is not None and figure > bound for figure, bound in zip(figures, bounds, strict=True))
        return over, objective(spec, area, cycles * period, energy)

    offers = {block: [(c, c.cost) for c in found if c.cost is not None] for block, found in open_to.items()}
    best = min(mixes(offers, thrifty(spec.objective)), key=worth)
    return {block: candidate for block, (candidate, _) in best.items()}


def _correction(context: Context) -> tuple[float, float, float]:
    """Area and period of the base over those of its blocks, and its cycles; ones without a base."""
    base = context.base
    if base is None or base.figures is None:
        return 1.0, 1.0, 1.0
    known = {candidate.id: candidate.cost for candidate in context.candidates}
    costs = [cost for identity in base.blocks.values() if (cost := known.get(identity))]
    area, period = sum(cost.area_um2 for cost in costs), max((cost.period_ns for cost in costs), default=0.0)
    found = base.figures
    return found.area_um2 / area if area else 1.0, found.period_ns / period if period else 1.0, found.cycles
