"""Campaigns on one spec at equal budget, each going without a part of the LLM designer: what every part is worth.

One goes without models: the search designer, with as many evaluations as the whole team spent, in as many rounds as it
likes; never fewer than its first design takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from agents import api, limits, transcripts
from agents.campaign import Campaign, names
from agents.progress import Progress, silent
from agents.records import Budget, CampaignResult, Cost
from agents.roles.omissions import OMISSIONS, check
from hwlib.spec import Spec

FULL = "nothing"
"""The campaign that goes without nothing."""
MODELS = "models"
"""The one that goes without models."""
SEARCH_ROUNDS = 1000
"""More than evaluations ever pay for: these limit a search that is compared, unless it converges before."""


@dataclass(frozen=True)
class Arm:
    """One campaign. objective: of its accepted design, smaller is better, None without one; gain: the objective over
    that of the baseline; repairs and rejected_edits: of model answers; refused: block attempts that a gate refused."""

    without: str
    campaign: str
    why: str
    objective: float | None
    gain: float | None
    spent: Cost
    calls: int
    repairs: int
    rejected_edits: int


def arms(without: tuple[str, ...]) -> tuple[str, ...]:
    """What is compared after the campaign that goes without nothing: all of OMISSIONS and no models, or those named."""
    check(tuple(part for part in without if part != MODELS), besides=(MODELS,))
    return (FULL, *(without or (*OMISSIONS, MODELS)))


def compare(
    spec: Spec,
    model: str,
    budget: Budget,
    seed: int,
    without: tuple[str, ...] = (),
    name: str = "",
    progress: Progress = silent,
    start: Callable[..., CampaignResult] = api.start_campaign,
    resume: Callable[..., CampaignResult] = api.resume_campaign,
) -> Iterator[Arm]:
    """Run the campaigns one after the other, or go on with those that were begun; each as soon as it has ended."""
    evaluations = 0
    for arm in arms(without):
        called = f"{name or spec.name}-{'full' if arm == FULL else f'no-{arm}'}"
        begin = partial(start, spec, budget=budget, seed=seed, name=called, progress=progress)
        if called in names():
            result = resume(called, progress=progress)
        elif arm == MODELS:
            enough = max(evaluations, limits.least_evaluations())
            equal = budget.model_copy(update={"evaluations": enough, "rounds": SEARCH_ROUNDS})
            result = begin(designer="search", budget=equal)
        else:
            result = begin(designer="llm", model=model, without=() if arm == FULL else (arm,))
        evaluations = result.status.spent.evaluations if arm == FULL else evaluations
        yield _arm(arm, called, result)


def _arm(without: str, called: str, result: CampaignResult) -> Arm:
    campaign = Campaign.open(called)
    try:
        said = transcripts.read(campaign.exchanges)
    finally:
        campaign.close()
    best = result.accepted.figures if result.accepted else None
    first = result.status.baseline.figures if result.status.baseline else None
    return Arm(
        without=without,
        campaign=called,
        why=result.why,
        objective=best.objective if best else None,
        gain=best.objective / first.objective if best and first else None,
        spent=result.status.spent,
        calls=said.calls,
        repairs=said.repairs,
        rejected_edits=said.rejected_edits,
    )
