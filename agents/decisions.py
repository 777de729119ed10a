"""Review decisions: which revisions wait for a person, and what was decided, bound to the exact tree."""

from __future__ import annotations

from agents.campaign import Campaign
from agents.records import PendingReview, Revision
from hwlib.design import read_design
from hwlib.errors import InputError


def pending(campaign: Campaign) -> list[PendingReview]:
    """Revisions that wait and have no decision on their tree yet."""
    known = {revision.revision: revision for revision in campaign.ledger.revisions()}
    return [
        PendingReview(campaign.name, revision, known.get(revision.parent or ""))
        for revision in known.values()
        if revision.state == "waiting" and campaign.ledger.decision(revision.tree_hash) is None
    ]


def decide(campaign: Campaign, revision: Revision, approve: bool, reason: str, tree_hash: str) -> None:
    """Record the decision; InputError if the tree is another, nothing waits, or a rejection is mute."""
    where = f"{campaign.name}:{revision.revision[:10]}"
    if tree_hash != revision.tree_hash:
        raise InputError(
            f"tree {tree_hash[:12]} is not this revision's ({revision.tree_hash[:12]})", where, "review it again"
        )
    if revision.state != "waiting":
        raise InputError(f"this revision does not wait for a review (it is {revision.state})", where)
    if not approve and not reason.strip():
        raise InputError("a rejection needs a reason", where, "say what the designer must change")
    campaign.ledger.put_decision(tree_hash, revision.revision, approve, reason.strip())


def standing(campaign: Campaign, revision: Revision) -> tuple[bool, str] | None:
    """(approved, reason) as decided on the tree that lies on disk; None while nobody decided on that.

    A tree that is no longer the one decided on makes the decision void: it is forgotten, and the checkout laid out
    again as it was committed, to be reviewed anew.
    """
    store = campaign.revisions
    if not store.intact(revision.revision):
        campaign.ledger.void_decision(revision.tree_hash)
    if read_design(store.checkout(revision.revision)).tree_hash != revision.tree_hash:
        campaign.ledger.void_decision(revision.tree_hash)
    return campaign.ledger.decision(revision.tree_hash)
