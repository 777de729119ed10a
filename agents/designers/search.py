"""The search designer: no model and no network. Optuna searches parameters and template variants on a cost model.

Round 0 writes the template defaults at a middling parameter point: the baseline. Each later round searches parameter
points with TPE (Bergstra et al. 2011, seeded); at each, the best mix of template variants follows exactly from the
predicted block costs. The best point's blocks are ordered, with the most promising unmeasured alternatives, and the
best mix of what passed its gates is assembled. The sampler starts afresh each round from the campaign's records, so an
interrupted campaign repeats itself exactly.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import optuna

from agents.constraints import Constraints
from agents.cost import Choice, CostModel, choice_of
from agents.designers import TOO_FEW, BlockCost, Candidate, Context, Files, Plan, Reading, Talk, WorkOrder, Written
from agents.designers.baseline import baseline, order_for
from agents.designers.library import Library
from agents.designers.space import Space
from agents.evaluator import objective
from agents.mix import Offer, mixes, thrifty
from agents.records import GateOutcome
from agents.tools.desk import Desk
from hwlib import contracts
from hwlib.contracts.schema import Contract

TRIALS = 120
"""Parameter points tried on the cost model in a round."""
PROBES = 10
"""Unmeasured alternatives written and gated in a round, besides the blocks of the best mix."""
MARGIN = 0.99
"""A round is worth its evaluations if it promises an objective below this share of the best."""
UNFIT = 1e30
"""Objective of a design over its budgets, times its period, so that the search still has a slope."""
ILLEGAL = 1e40

Parameters = dict[str, int]


@dataclass(frozen=True)
class Found:
    """A predicted design: its objective, the top's parameters and the choice for every block."""

    value: float
    parameters: Parameters
    choices: dict[str, Choice]


class SearchDesigner:
    """See the module. `library` gives the text, `space` the legal parameter points and their cycles."""

    name = "search"

    def __init__(self, library: Library, space: Space) -> None:
        self._library = library
        self._space = space

    def plan(self, context: Context) -> Plan:
        """The baseline first; then the most promising point with alternatives, until little is to be gained."""
        if not any(candidate.passed for candidate in context.candidates):
            return baseline(context, self._library, self._space)
        found = self._search(context)
        best = context.best.figures.objective if context.best and context.best.figures else math.inf
        if found.value >= min(ILLEGAL, best * MARGIN):
            return Plan(found.parameters, (), _why_not(found.value, best, _allowed(context)))
        orders = self._orders(context, found)
        if len(orders) > context.orders_left:
            return Plan(found.parameters, (), TOO_FEW)
        shape = f"T={found.parameters['T']} D={found.parameters['D']}"
        return Plan(
            found.parameters, orders, f"search: {shape} promises {found.value:.4g}, {len(orders)} blocks to write"
        )

    def write(
        self, order: WorkOrder, contract: Contract, parent: Files, findings: Sequence[str], desk: Desk, talk: Talk
    ) -> Written:
        """The template's text."""
        return Written(self._library.render(choice_of(order)))

    def read(self, order: WorkOrder, files: Files, outcomes: Sequence[GateOutcome], desk: Desk, talk: Talk) -> Reading:
        """A template is not mended: the variant is given up, and later rounds leave it out."""
        return Reading([])

    def select(
        self, context: Context, parameters: dict[str, int], offers: Mapping[str, Sequence[Candidate]]
    ) -> dict[str, str]:
        """The best mix of measured blocks that was not refused before; in round 0 the defaults."""
        first = {block: offered[0].id for block, offered in offers.items()}
        if context.round == 0:
            return first
        refused, allowed = _refused(context), _allowed(context)
        best, sparing = (math.inf, first), thrifty(context.spec.objective)
        for mix in mixes({b: [(c, _cost(c)) for c in offered] for b, offered in offers.items()}, sparing):
            choices = {block: choice_of(candidate.order) for block, (candidate, _) in mix.items()}
            if _fingerprint(parameters, [candidate for candidate, _ in mix.values()]) in refused:
                continue
            if not allowed.permit(parameters, choices):
                continue
            value = self._value(context, parameters, [cost for _, cost in mix.values()])
            if value < best[0]:
                best = value, {block: candidate.id for block, (candidate, _) in mix.items()}
        return best[1]

    def _search(self, context: Context) -> Found:
        """The best design by the cost model."""
        model, choices, allowed = CostModel(context.candidates), self._open_choices(context), _allowed(context)
        best = Found(ILLEGAL, {}, {})

        def evaluate(trial: optuna.Trial) -> float:
            nonlocal best
            parameters = self._suggest_parameters(trial)
            if parameters is None:
                return ILLEGAL
            here = self._best_mix(context, model, choices, allowed, parameters)
            if here.value < best.value:
                best = here
            return here.value

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=sampler_seed(context.seed, context.round), n_startup_trials=40)
        optuna.create_study(sampler=sampler).optimize(evaluate, n_trials=TRIALS)
        return best

    def _best_mix(self, context: Context, model: CostModel, choices: Mapping[str, Sequence[Choice]],
                  allowed: Constraints, parameters: Parameters) -> Found:  # fmt: skip
        offers: dict[str, list[Offer[Choice]]] = {
            block: [(choice, model.predict(choice, parameters)) for choice in offered]
            for block, offered in choices.items()
        }
        best = Found(ILLEGAL, parameters, {})
        for mix in mixes(offers, thrifty(context.spec.objective)):
            chosen = {block: choice for block, (choice, _) in mix.items()}
            if allowed.permit(parameters, chosen):
                value = self._value(context, parameters, [cost for _, cost in mix.values()])
                best = min(best, Found(value, parameters, chosen), key=lambda found: found.value)
        return best

    def _suggest_parameters(self, trial: optuna.Trial) -> Parameters | None:
        shapes = self._space.shapes
        return self._space.point(
            shapes[trial.suggest_categorical("shape", range(len(shapes)))],
            lanes=trial.suggest_categorical("ACT_LANES", [1, 2, 4]),
            banks=trial.suggest_categorical("BANKS", [2, 4, 8]),
            queue=trial.suggest_categorical("QUEUE", [2, 4]),
            room=trial.suggest_categorical("room", [2, 4]),
            entries=trial.suggest_categorical("entries", [2, 4]),
        )

    def _value(self, context: Context, parameters: Parameters, costs: Sequence[BlockCost]) -> float:
        """Predicted objective: blocks' sums and slowest, corrected by how the last whole compared with its blocks."""
        cycles = self._space.cycles(parameters)
        if cycles is None:
            return ILLEGAL
        wider, slower, longer = self._correction(context)
        area = sum(cost.area_um2 for cost in costs) * wider
        period = max(cost.period_ns for cost in costs) * slower
        if period > context.spec.clock_ns or area > (context.spec.budgets.area_um2 or math.inf):
            return UNFIT * period
        energy = sum(cost.cycle_pj or 0.0 for cost in costs) * cycles * longer
        return objective(context.spec, area, cycles * longer * period, energy)

    def _correction(self, context: Context) -> tuple[float, float, float]:
        """(area, period, cycles) of the newest measured whole over the cost model's sum, maximum and cycles."""
        known = {candidate.id: candidate for candidate in context.candidates}
        for revision in reversed(context.revisions):
            cycles = self._space.cycles(revision.parameters)
            if revision.figures is not None and cycles is not None:
                costs = [_cost(known[identity]) for identity in revision.blocks.values()]
                area, period = sum(cost.area_um2 for cost in costs), max(cost.period_ns for cost in costs)
                found = revision.figures
                return found.area_um2 / area, found.period_ns / period, found.cycles / cycles
        return 1.0, 1.0, 1.0

    def _open_choices(self, context: Context) -> dict[str, list[Choice]]:
        """Choices of each block that no gate and no reviewer has refused."""
        failed = {choice_of(candidate.order) for candidate in context.candidates if not candidate.passed}
        avoided = _allowed(context).avoided
        return {
            block: [c for c in self._library.choices(block) if c not in failed and (block, c.variant) not in avoided]
            for block in contracts.names()
        }

    def _orders(self, context: Context, found: Found) -> tuple[WorkOrder, ...]:
        """Blocks of the best mix, then the most promising alternatives, none of them measured at this point.

        If all are, the top alone: its evidence stands, and the mix is assembled.
        """
        model = CostModel(context.candidates)
        wanted = [choice for choice in found.choices.values() if not model.measured(choice, found.parameters)]
        for choice in wanted:
            model = model.believing(choice, found.parameters)
        chosen = [*wanted, *self._probes(context, model, found, wanted)] or [found.choices["top"]]
        return tuple(order_for(context.round, choice) for choice in chosen)

    def _probes(self, context: Context, model: CostModel, found: Found, wanted: Sequence[Choice]) -> list[Choice]:
        """Alternatives that may improve the mix, each the most promising once those before it are believed."""
        others = [c for offered in self._open_choices(context).values() for c in offered if c not in wanted]
        others = [c for c in others if not model.measured(c, found.parameters)]
        probes: list[Choice] = []
        while others and len(probes) < PROBES:
            mix = {block: model.predict(c, found.parameters) for block, c in found.choices.items()}
            promises = {c: self._swapped(context, found, mix, c, model) for c in others}
            best = min(others, key=lambda c: (promises[c], str(c)))
            if promises[best] >= self._value(context, found.parameters, list(mix.values())):
                break
            probes.append(best)
            others.remove(best)
            model = model.believing(best, found.parameters)
        return probes

    def _swapped(self, context: Context, found: Found, mix: Mapping[str, BlockCost], choice: Choice,
                 model: CostModel) -> float:  # fmt: skip
        costs = dict(mix) | {choice.block: model.predict(choice, found.parameters)}
        return self._value(context, found.parameters, list(costs.values()))


def sampler_seed(seed: int, round_: int) -> int:
    """A seed of its own for every campaign's seed and round, of 32 bits."""
    return int.from_bytes(hashlib.sha256(f"{seed} {round_}".encode()).digest()[:4], "big")


def _why_not(promised: float, best: float, allowed: Constraints) -> str:
    """Why a campaign ends whose search found no point worth a round."""
    if promised >= ILLEGAL and allowed.described:
        return f"no design keeps the reviewers' constraints: {'; '.join(allowed.described)}"
    if promised >= ILLEGAL:
        return "no other design is left to try: gates or reviewers refused them all, or the workload does not fit"
    if promised >= UNFIT:
        return f"converged: the cost model promises nothing else within clock and area, the best is {best:.4g}"
    return f"converged: the cost model promises {promised:.4g}, the best is {best:.4g}"


def _cost(candidate: Candidate) -> BlockCost:
    assert candidate.cost is not None, "only candidates that passed are offered"
    return candidate.cost


def _allowed(context: Context) -> Constraints:
    return Constraints.read(context.rejections, context.revisions)


def _fingerprint(parameters: Parameters, mix: Sequence[Candidate]) -> tuple[str, ...]:
    files = sorted(str(sorted(candidate.files.items())) for candidate in mix)
    return str(sorted(parameters.items())), *files


def _refused(context: Context) -> set[tuple[str, ...]]:
    """Mixes a whole-design gate or a reviewer refused."""
    known = {candidate.id: candidate for candidate in context.candidates}
    bad = [revision for revision in context.revisions if revision.state in ("failed", "rejected")]
    return {_fingerprint(r.parameters, [known[identity] for identity in r.blocks.values()]) for r in bad}
