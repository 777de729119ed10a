"""What the command line and the web page call: campaigns, designs by name, and review decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from agents.progress import Progress, silent
from agents.records import Budget, CampaignResult, CampaignStatus, PendingReview, Revision
from hwlib.design import Design
from hwlib.spec import Spec

DesignerName = Literal["search", "llm"]
ReviewMode = Literal["auto", "wait"]


def start_campaign(
    spec: Path | Spec,
    *,
    designer: DesignerName = "search",
    model: str = "",
    budget: Budget | None = None,
    seed: int = 0,
    review: ReviewMode = "auto",
    name: str = "",
    progress: Progress = silent,
) -> CampaignResult:
    """Create the campaign and run it to its end, a review wait or a stop. `name` defaults to the spec's name.

    Raises InputError if a campaign of that name exists, or the spec, model or key is bad.
    """
    raise NotImplementedError


def resume_campaign(name: str, *, progress: Progress = silent) -> CampaignResult:
    """Continue after a kill, a stop or a review decision. An ended campaign just reports its result again."""
    raise NotImplementedError


def stop_campaign(name: str) -> None:
    """Ask the running campaign to stop after the step it is in; `resume_campaign` continues it."""
    raise NotImplementedError


def campaign_status(name: str) -> CampaignStatus:
    """The campaign at a glance; reads only, works while it runs."""
    raise NotImplementedError


def list_campaigns() -> list[CampaignStatus]:
    """Every campaign, by name."""
    raise NotImplementedError


def revisions(name: str) -> list[Revision]:
    """Every revision of the campaign, oldest first, with gates, figures and cost."""
    raise NotImplementedError


def accepted_design(name: str) -> Path:
    """Folder of the campaign's accepted design (best so far while it runs); InputError if there is none yet."""
    raise NotImplementedError


def revision_design(name: str, revision: str) -> Path:
    """Folder with `revision` (full hash, unique prefix, or rN for the Nth) checked out."""
    raise NotImplementedError


def resolve_design(word: str) -> Design:
    """The design `word` names: "expert", a design folder, a campaign, or campaign:revision."""
    raise NotImplementedError


def pending_reviews(name: str) -> list[PendingReview]:
    """Revisions of the campaign that wait for a decision."""
    raise NotImplementedError


def record_decision(name: str, revision: str, approve: bool, reason: str, tree_hash: str) -> None:
    """Record a review decision against the tree hash; void (InputError) if that is not the revision's tree hash.

    A rejection needs a reason; it goes to the designer as a constraint. `resume_campaign` continues the campaign.
    """
    raise NotImplementedError
