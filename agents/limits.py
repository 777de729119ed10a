"""The budget's hard limits: what a campaign must stop at, and what it must at least be given."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from agents.campaign import Campaign
from agents.evaluator import BLOCK_GATES, DESIGN_GATES
from agents.ledger import UNPAID
from agents.records import Budget
from hwlib import contracts
from hwlib.errors import InputError

BLOCK_EVALUATIONS = len(BLOCK_GATES) + 1
DESIGN_EVALUATIONS = len(DESIGN_GATES) + 1
"""Gates, and the synthesis that measures."""
TEMPLATE_EVALUATIONS = BLOCK_EVALUATIONS + 1
"""The same, and the tests that verifiers added."""


@dataclass
class Clock:
    """When the wall time that is not yet in the ledger began (s, monotonic)."""

    mark: float = field(default_factory=lambda: time.monotonic())

    def lap(self) -> float:
        """Seconds since the mark, which moves to now."""
        before, self.mark = self.mark, time.monotonic()
        return self.mark - before


def least_evaluations() -> int:
    """What the first round takes, which judges every block and the whole."""
    return len(contracts.names()) * BLOCK_EVALUATIONS + DESIGN_EVALUATIONS


def check(budget: Budget) -> None:
    """InputError if the evaluations do not pay for the first round."""
    least = least_evaluations()
    if budget.evaluations is not None and budget.evaluations < least:
        what = f"evaluations={budget.evaluations} cannot judge a first design, which takes {least}"
        raise InputError(what, "--budget", f"give at least evaluations={least}")


def time_spent(campaign: Campaign, clock: Clock) -> str:
    """Why the campaign must stop now, if its wall time is spent."""
    most = campaign.settings.budget.wall_s
    if most is None or campaign.ledger.spent().wall_s + time.monotonic() - clock.mark < most:
        return ""
    return f"budget: {most:g} s of wall time"


def money_spent(campaign: Campaign) -> str:
    """Why no more model calls can follow: one was refused, as tokens or money would not pay for the longest answer."""
    return campaign.ledger.fact(UNPAID)
