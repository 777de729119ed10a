"""What a reviewer sees of a revision that waits: its difference to its parent, its evidence, and what it changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agents import api
from agents.diff import DesignDiff, as_data, diff_files, source_files
from agents.records import Figures, PendingReview, Revision
from hwlib.design import Design, read_design
from hwlib.errors import InputError

FIGURES = (
    ("area_um2", "area (logic)", "um2", -1),
    ("period_ns", "minimum period", "ns", -1),
    ("power_mw", "power", "mW", -1),
    ("cycles", "cycles", "", -1),
    ("latency_us", "latency", "us", -1),
    ("energy_pj", "energy", "pJ", -1),
    ("utilisation", "MAC utilisation", "", 1),
    ("objective", "objective", "", -1),
)
"""Field of Figures, name, unit, and 1 if more is better, -1 if less is."""


@dataclass(frozen=True)
class Delta:
    """A figure of the revision beside its parent's; `ratio` is new/old, None without a parent's figure."""

    field: str
    name: str
    unit: str
    old: float | None
    new: float | None
    better: bool | None

    @property
    def ratio(self) -> float | None:
        """New over old."""
        return self.new / self.old if self.old and self.new is not None else None


@dataclass(frozen=True)
class ReviewItem:
    """A revision waiting for a decision on exactly `tree_hash`, the tree that was read for `diff`."""

    campaign: str
    revision: Revision
    parent: Revision | None
    tree_hash: str
    diff: DesignDiff
    deltas: tuple[Delta, ...]


def waiting(campaign: str | None) -> list[ReviewItem]:
    """The revisions that wait in `campaign`, or in every campaign. InputError for an unknown campaign."""
    names = [campaign] if campaign else [found.name for found in api.list_campaigns()]
    return [_item(pending) for name in names for pending in api.pending_reviews(name)]


def pick(items: list[ReviewItem], word: str) -> ReviewItem:
    """The waiting revision `word` names: rN, or a hash prefix of at least four digits."""
    found = [item for item in items if _names(item.revision, word)]
    if len(found) != 1:
        known = ", ".join(f"{item.campaign}:r{item.revision.round}" for item in items) or "none"
        raise InputError(f"no single waiting revision '{word}'", "review", f"waiting: {known}")
    return found[0]


def decide(item: ReviewItem, approve: bool, reason: str) -> None:
    """Record the decision on the tree that was shown; void (InputError) if the tree has changed since."""
    api.record_decision(item.campaign, item.revision.revision, approve, reason, item.tree_hash)


def _names(revision: Revision, word: str) -> bool:
    return word == f"r{revision.round}" or (len(word) >= 4 and revision.revision.startswith(word))


def _item(pending: PendingReview) -> ReviewItem:
    design = _design(pending.campaign, pending.revision)
    old = source_files(_design(pending.campaign, pending.parent)) if pending.parent else {}
    labels = [f"{pending.campaign}:r{r.round}" if r else "nothing" for r in (pending.parent, pending.revision)]
    diff = diff_files(old, source_files(design), labels[0], labels[1])
    before = pending.parent.figures if pending.parent else None
    return ReviewItem(pending.campaign, pending.revision, pending.parent, design.tree_hash, diff,
                      deltas(before, pending.revision.figures))  # fmt: skip


def _design(campaign: str, revision: Revision) -> Design:
    return read_design(api.revision_design(campaign, revision.revision))


def deltas(old: Figures | None, new: Figures | None) -> tuple[Delta, ...]:
    """Each figure beside the parent's."""
    return tuple(_delta(field, name, unit, sign, old, new) for field, name, unit, sign in FIGURES)


def _delta(field: str, name: str, unit: str, sign: int, old: Figures | None, new: Figures | None) -> Delta:
    before, after = (getattr(f, field) if f else None for f in (old, new))
    better = None if before is None or after is None or before == after else (after - before) * sign > 0
    return Delta(field, name, unit, before, after, better)


def review_data(item: ReviewItem) -> dict[str, Any]:
    """The item for JSON."""
    return {
        "campaign": item.campaign,
        "revision": item.revision.revision,
        "round": item.revision.round,
        "parent": item.parent.revision if item.parent else None,
        "tree_hash": item.tree_hash,
        "reason": item.revision.reason,
        "role": item.revision.role,
        "model": item.revision.model,
        "prompt_version": item.revision.prompt_version,
        "cost": item.revision.cost,
        "gates": item.revision.gates,
        "figures": item.revision.figures,
        "deltas": {d.field: {"old": d.old, "new": d.new, "ratio": d.ratio} for d in item.deltas},
        "diff": as_data(item.diff),
    }
