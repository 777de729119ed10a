"""The search designer: no model and no network. Optuna searches parameters and template variants on a cost model.

Round 0 writes the template defaults at a middling parameter point: the baseline. Each later round searches the whole
space on the cost model (TPE, Bergstra et al. 2011, seeded), orders the best point's blocks and the most promising
unmeasured alternatives, and assembles the best combination of what passed its gates. The sampler starts afresh each
round from the campaign's records, so an interrupted campaign repeats itself exactly.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import optuna

from agents.constraints import Constraints
from agents.cost import Choice, CostModel, choice_of
from agents.designers import BlockCost, Candidate, Context, Files, Plan, WorkOrder, Written
from agents.designers.baseline import baseline, order_for
from agents.designers.library import Library
from agents.designers.space import Space
from agents.evaluator import objective
from agents.records import GateOutcome
from hwlib import contracts
from hwlib.contracts.schema import Contract

TRIALS = 400
"""Configurations tried on the cost model in a round."""
PROBES = 10
"""Unmeasured alternatives written and gated in a round, besides the blocks of the best configuration."""
MARGIN = 0.99
"""A round is worth its evaluations if it promises an objective below this share of the best."""
UNFIT = 1e30

Parameters = dict[str, int]
Choices = dict[str, Choice]


@dataclass(frozen=True)
class _Found:
    value: float
    parameters: Parameters
    choices: Choices


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
        if found.value >= best * MARGIN:
            return Plan(
                found.parameters, (), f"converged: the cost model promises {found.value:.4g}, the best is {best:.4g}"
            )
        orders = self._orders(context, found)
        if len(orders) > context.orders_left or not orders:
            return Plan(
                found.parameters, (), "budget: too few evaluations left for another round" if orders else "converged"
            )
        shape = f"T={found.parameters['T']} D={found.parameters['D']}"
        return Plan(
            found.parameters, orders, f"search: {shape} promises {found.value:.4g}, {len(orders)} blocks to write"
        )

    def write(self, order: WorkOrder, contract: Contract, parent: Files, findings: Sequence[str]) -> Written:
        """The template's text."""
        return Written(self._library.render(choice_of(order)))

    def read(self, order: WorkOrder, files: Files, outcomes: Sequence[GateOutcome]) -> list[str]:
        """A template is not mended: the variant is given up, and later rounds leave it out."""
        return []

    def select(self, context: Context, offers: Mapping[str, Sequence[Candidate]]) -> dict[str, str]:
        """The combination of measured blocks with the least objective: for each period, the smallest that keep it."""
        if context.round == 0:
            return {block: offered[0].id for block, offered in offers.items()}
        parameters = next(iter(offers.values()))[0].parameters
        refused = _refused(context)
        allowed = Constraints.read(context.rejections, context.revisions)
        best: tuple[float, dict[str, str]] | None = None
        for period in sorted({_cost(c).period_ns for offered in offers.values() for c in offered}):
            chosen = _smallest_within(offers, period)
            if chosen is None or _fingerprint(chosen) in refused:
                continue
            if not allowed.permit(parameters, {b: choice_of(c.order) for b, c in chosen.items()}):
                continue
            value = self._value(context, parameters, {b: _cost(c) for b, c in chosen.items()})
            if best is None or value < best[0]:
                best = value, {block: candidate.id for block, candidate in chosen.items()}
        return best[1] if best else {block: offered[0].id for block, offered in offers.items()}

    def _search(self, context: Context) -> _Found:
        """The best configuration by the cost model, from TPE started at the best so far, then block by block."""
        model = CostModel(context.candidates)
        open_ = self._open_choices(context)
        allowed = Constraints.read(context.rejections, context.revisions)
        seed = context.seed * 1000 + context.round

        def evaluate(trial: optuna.Trial) -> float:
            parameters = self._suggest_parameters(trial)
            choices = {b: c[trial.suggest_categorical(b, range(len(c)))] for b, c in open_.items()}
            if parameters is None or not allowed.permit(parameters, choices):
                return UNFIT
            return self._value(context, parameters, {b: model.predict(c, parameters) for b, c in choices.items()})

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=60))
        study.optimize(evaluate, n_trials=TRIALS)
        best = study.best_trial
        parameters = self._suggest_parameters(optuna.trial.FixedTrial(best.params))
        if parameters is None:
            return _Found(UNFIT, {}, {})
        choices = {b: c[best.params[b]] for b, c in open_.items()}
        return self._polish(context, model, allowed, open_, _Found(study.best_value, parameters, choices))

    def _polish(self, context: Context, model: CostModel, allowed: Constraints, open_: Mapping[str, Sequence[Choice]],
                found: _Found) -> _Found:  # fmt: skip
        """Change one block at a time while that helps; TPE leaves small blocks to chance."""
        order = [(block, choice) for block, offered in open_.items() for choice in offered]
        random.Random(context.seed).shuffle(order)
        improved = True
        while improved:
            improved = False
            for block, choice in order:
                choices = found.choices | {block: choice}
                if not allowed.permit(found.parameters, choices):
                    continue
                costs = {b: model.predict(c, found.parameters) for b, c in choices.items()}
                value = self._value(context, found.parameters, costs)
                if value < found.value:
                    found, improved = _Found(value, found.parameters, choices), True
        return found

    def _suggest_parameters(self, trial: optuna.Trial | optuna.trial.FixedTrial) -> Parameters | None:
        shapes = self._space.shapes
        return self._space.point(
            shapes[trial.suggest_categorical("shape", range(len(shapes)))],
            lanes=trial.suggest_categorical("ACT_LANES", [1, 2, 4]),
            banks=trial.suggest_categorical("BANKS", [2, 4, 8]),
            queue=trial.suggest_categorical("QUEUE", [2, 4]),
            room=trial.suggest_categorical("room", [1, 2]),
        )

    def _value(self, context: Context, parameters: Parameters, costs: Mapping[str, BlockCost]) -> float:
        """Predicted objective; blocks add up in area and power, the slowest sets the period.

        Both are corrected by how the baseline's whole compares with its blocks.
        """
        cycles = self._space.cycles(parameters)
        if cycles is None:
            return UNFIT
        wider, slower = _correction(context)
        area = sum(cost.area_um2 for cost in costs.values()) * wider
        period = max(cost.period_ns for cost in costs.values()) * slower
        if period > context.spec.clock_ns or area > (context.spec.budgets.area_um2 or math.inf):
            return UNFIT * period
        power = sum(cost.power_mw or 0.0 for cost in costs.values())
        return objective(context.spec, area, cycles * period, power * cycles * period)

    def _open_choices(self, context: Context) -> dict[str, tuple[Choice, ...]]:
        """Choices of each block that no gate has refused."""
        failed = {choice_of(candidate.order) for candidate in context.candidates if not candidate.passed}
        return {b: tuple(c for c in self._library.choices(b) if c not in failed) for b in contracts.names()}

    def _orders(self, context: Context, found: _Found) -> tuple[WorkOrder, ...]:
        """Blocks of the best configuration, and alternatives to measure, none of them measured at this point."""
        model = CostModel(context.candidates)
        wanted = [choice for choice in found.choices.values() if not model.measured(choice, found.parameters)]
        rest = self._ranked(context, model, found)
        probes = [choice for choice in rest if choice not in wanted][:PROBES]
        return tuple(order_for(context.round, choice) for choice in [*wanted, *probes])

    def _ranked(self, context: Context, model: CostModel, found: _Found) -> Iterator[Choice]:
        """Unmeasured alternatives, those that promise most first."""

        def promise(choice: Choice) -> tuple[float, str]:
            choices = found.choices | {choice.block: choice}
            costs = {b: model.predict(c, found.parameters) for b, c in choices.items()}
            return self._value(context, found.parameters, costs), str(choice)

        others = [c for offered in self._open_choices(context).values() for c in offered]
        return iter(sorted((c for c in others if not model.measured(c, found.parameters)), key=promise))


def _cost(candidate: Candidate) -> BlockCost:
    assert candidate.cost is not None, "only candidates that passed are offered"
    return candidate.cost


def _smallest_within(offers: Mapping[str, Sequence[Candidate]], period: float) -> dict[str, Candidate] | None:
    """The smallest candidate of each block that keeps `period`; None if a block has none."""
    chosen = {}
    for block, offered in offers.items():
        within = [candidate for candidate in offered if _cost(candidate).period_ns <= period]
        if not within:
            return None
        chosen[block] = min(within, key=lambda candidate: _cost(candidate).area_um2)
    return chosen


def _fingerprint(chosen: Mapping[str, Candidate]) -> tuple[str, ...]:
    return tuple(sorted(str(sorted(candidate.files.items())) for candidate in chosen.values()))


def _refused(context: Context) -> set[tuple[str, ...]]:
    """Combinations a whole-design gate or a reviewer refused."""
    known = {candidate.id: candidate for candidate in context.candidates}
    bad = [revision for revision in context.revisions if revision.state in ("failed", "rejected")]
    return {_fingerprint({block: known[identity] for block, identity in r.blocks.items()}) for r in bad}


def _correction(context: Context) -> tuple[float, float]:
    """(area, period) of the newest measured whole over the sum and the maximum of its blocks."""
    known = {candidate.id: candidate for candidate in context.candidates}
    for revision in reversed(context.revisions):
        if revision.figures is not None:
            costs = [_cost(known[identity]) for identity in revision.blocks.values()]
            area, period = sum(cost.area_um2 for cost in costs), max(cost.period_ns for cost in costs)
            return revision.figures.area_um2 / area, revision.figures.period_ns / period
    return 1.0, 1.0
