"""Campaigns of the LLM designer that are killed at random moments, and what must be the same as if they were not."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agents import api
from agents.campaign import Campaign, names
from agents.models import Model
from agents.models.record import Replay
from agents.progress import Progress, silent
from agents.records import Budget, CampaignResult
from tests.agents.kill import moments, run_and_kill
from tests.agents.stand_in import SPEC, ToyEvaluator
from tests.agents.toy_model import AGAIN, PAID, ToyModel, designer

ROUNDS = 4
EVENTS = 250
"""About as many as an unbroken run tells."""


@dataclass(frozen=True)
class Fate:
    """What became of a campaign: what interruptions must not change, and what was asked of the model how often."""

    revisions: tuple[object, ...]
    """Of every revision: hash, tree hash, state, figures."""
    accepted: str
    evaluations: int
    tokens: int
    why: str
    asked: Counter[str]
    """How often each line of the model's notes (a word and a request's key) occurs."""

    @property
    def again(self) -> int:
        """Calls that were asked although their answer was on disk."""
        return sum(count for line, count in self.asked.items() if line.startswith(AGAIN))

    @property
    def in_flight(self) -> int:
        """Calls that a kill cut off between the model's answer and its record, and that were asked again."""
        return sum(count - 1 for line, count in self.asked.items() if line.startswith(PAID))

    def same(self, other: Fate) -> bool:
        """Whether revisions, accepted tree and booked costs are equal."""
        mine = (self.revisions, self.accepted, self.evaluations, self.tokens, self.why)
        return mine == (other.revisions, other.accepted, other.evaluations, other.tokens, other.why)


def run(model: Model, log: Path, progress: Progress) -> CampaignResult:
    """Start the campaign, or go on with it."""
    evaluators, designers = partial(ToyEvaluator, delay_s=0.001), partial(designer, model, log)
    if "toy" in names():
        return api.resume_campaign("toy", progress=progress, evaluators=evaluators, designers=designers)
    return api.start_campaign(
        SPEC, designer="llm", model="chat:toy@http://127.0.0.1:9/v1", budget=Budget(rounds=ROUNDS), progress=progress,
        evaluators=evaluators, designers=designers,
    )  # fmt: skip


def unbroken(home: Path) -> tuple[Fate, Model]:
    """A campaign that nothing interrupts, and its recorded answers as a model."""
    fate = _fate(home, ToyModel())
    campaign = Campaign.open("toy")
    try:
        return fate, Replay(ToyModel.name, campaign.exchanges)
    finally:
        campaign.close()


def killed(home: Path, model: Model, seed: int, kills: int = 1) -> tuple[Fate, int]:
    """A campaign killed up to `kills` times at moments drawn from `seed`; how many of them hit."""
    _move_to(home)
    when = moments(seed, kills, EVENTS)
    hits = sum(run_and_kill(partial(run, model, home / "asked"), *moment) for moment in when)
    return _fate(home, model), hits


def _move_to(home: Path) -> None:
    os.environ["RTLOOM_HOME"] = str(home)
    home.mkdir(parents=True, exist_ok=True)


def _fate(home: Path, model: Model) -> Fate:
    _move_to(home)
    result = run(model, home / "asked", silent)
    assert result.accepted is not None
    found = tuple((r.revision, r.tree_hash, r.state, r.figures) for r in api.revisions("toy"))
    asked = Counter((home / "asked").read_text().splitlines())
    spent = result.status.spent
    return Fate(found, result.accepted.tree_hash, spent.evaluations, spent.tokens, result.why, asked)
