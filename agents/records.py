"""What a campaign records and reports: budgets, figures, gate outcomes, revisions, status and result."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from agents.spending import Spending

CampaignState = Literal["running", "waiting", "stopped", "interrupted", "accepted", "failed"]
"""waiting: for a review; stopped: on request; interrupted: its process is gone; failed: ended, nothing accepted."""

RevisionState = Literal["failed", "measured", "waiting", "accepted", "superseded", "rejected"]
"""failed: a gate refused it; measured: passed, not better than the best; superseded: accepted once, bettered since."""


class Budget(BaseModel):
    """Hard limits of a campaign; None means unlimited. Money is in US dollars at the model's listed prices."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rounds: int = Field(default=3, ge=1, le=1000)
    evaluations: int | None = Field(default=None, ge=1)
    wall_s: float | None = Field(default=None, gt=0)
    tokens: int | None = Field(default=None, ge=1)
    money_usd: float | None = Field(default=None, gt=0)


@dataclass(frozen=True)
class Cost:
    """What something took. Evaluations are gate and synthesis runs asked for, whether or not evidence answered them."""

    evaluations: int = 0
    wall_s: float = 0.0
    tokens: int = 0
    money_usd: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.evaluations + other.evaluations,
            self.wall_s + other.wall_s,
            self.tokens + other.tokens,
            self.money_usd + other.money_usd,
        )


@dataclass(frozen=True)
class ModelCall:
    """One answered call of a language model. `order` is the key of the block order it served, if any.

    Of input_tokens, cached_tokens were read from the provider's cache, written_tokens put there. estimated: the
    provider did not say what was used. money_usd is None where the model's price is not known.
    """

    role: str
    model: str
    round: int
    block: str
    order: str
    stop: str
    input_tokens: int
    cached_tokens: int
    written_tokens: int
    output_tokens: int
    estimated: bool
    money_usd: float | None

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True)
class Figures:
    """Measured figures of a design on its spec's workload (one inference), at its minimum period.

    `objective` is the spec's objective computed from the others; smaller is better.
    """

    area_um2: float
    period_ns: float
    power_mw: float | None
    cycles: int
    latency_us: float
    energy_pj: float | None
    utilisation: float
    objective: float


@dataclass(frozen=True)
class Fact:
    """A finding of a bench in its parts: what differed on which interface, in which cycle (-1: unknown), after what."""

    message: str
    file: str = ""
    line: int = 0
    interface: str = ""
    cycle: int = -1
    expected: str = ""
    got: str = ""
    vector: str = ""


@dataclass(frozen=True)
class GateOutcome:
    """One gate on one block or on the whole design (`scope` is the block's name or "design")."""

    gate: str
    scope: str
    passed: bool
    findings: tuple[str, ...] = ()
    replay: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    facts: tuple[Fact, ...] = ()
    """The findings that were seen on an interface, in parts."""


@dataclass(frozen=True)
class Revision:
    """A git commit of a design in the campaign's repository, with where it came from and what it showed."""

    revision: str
    parent: str | None
    tree_hash: str
    round: int
    state: RevisionState
    role: str
    model: str
    prompt_version: str
    reason: str
    parameters: dict[str, int]
    variants: dict[str, str]
    blocks: dict[str, str]
    """Candidate id of each block."""
    gates: tuple[GateOutcome, ...]
    figures: Figures | None
    cost: Cost


@dataclass(frozen=True)
class CampaignStatus:
    """A campaign at a glance."""

    name: str
    folder: Path
    state: CampaignState
    designer: str
    model: str
    seed: int
    round: int
    budget: Budget
    spent: Cost
    objective: str
    baseline: Revision | None
    best: Revision | None
    revisions: int
    pareto: tuple[Revision, ...] = ()
    """Measured revisions that no other betters in area, latency and energy at once."""
    lessons: tuple[str, ...] = ()
    spending: Spending | None = None
    """Where the model calls went; None before there are any."""
    why: str = ""
    """Why it last ended, waited or stopped; empty while it runs."""


@dataclass(frozen=True)
class CampaignResult:
    """How a run or resume of a campaign ended. `accepted` is None unless a design was accepted."""

    status: CampaignStatus
    accepted: Revision | None
    design: Path | None
    """Folder of the accepted design."""
    why: str
    """One line: why it ended (budget, converged, waiting for a review, stopped)."""


@dataclass(frozen=True)
class PendingReview:
    """A revision that waits for a person: decide on exactly this tree hash."""

    campaign: str
    revision: Revision
    parent: Revision | None
