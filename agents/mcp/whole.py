"""A client's whole design: its drafts in the design that is built on, as a revision like any other's."""

from __future__ import annotations

from collections.abc import Sequence

from agents.designers import Candidate
from agents.mcp.drafts import Draft
from agents.mcp.session import Session
from agents.records import Revision
from agents.roles.condense import condense
from agents.state import State
from agents.steps import whole
from agents.workshop import best_revision
from hwlib import contracts
from hwlib.design import read_design
from hwlib.errors import InputError


def submit(drafts: Sequence[Draft], candidates: Sequence[Candidate], reason: str, session: Session) -> str:
    """Commit, gate, measure, decide. InputError for drafts that did not pass, two of a block, or a design that is
    known."""
    _check(drafts, candidates, session)
    revision = _kept(_commit(drafts, candidates, reason, session), session)
    best = best_revision(session.campaign)
    state: State = {"round": revision.round, "revision": revision.revision, "best": best.revision if best else ""}
    for step in (whole.gate_revision, whole.measure_revision, whole.judge_revision):
        state = {**state, **step(state, session.shop)}
        if state.get("verdict") == "refused":
            return _refusal(session.shop.revision(revision.revision), session)
    accepted = state["verdict"] == "approved"
    if accepted:
        whole.accept_revision(state, session.shop)
    return _outcome(session.shop.revision(revision.revision), accepted)


def _kept(revision: Revision, session: Session) -> Revision:
    """The revision, on record; one of the same tree whose judgement was cut short is gone on with."""
    ledger = session.campaign.ledger
    for earlier in ledger.revisions():
        if earlier.tree_hash == revision.tree_hash:
            if earlier.state == "measured" and earlier.figures is None:
                return earlier
            raise InputError(f"it is the design of revision r{earlier.round}", "submit_design", "change something")
    ledger.put_revision(revision.round, revision)
    return revision


def _check(drafts: Sequence[Draft], candidates: Sequence[Candidate], session: Session) -> None:
    if session.round > session.campaign.settings.budget.rounds:
        raise InputError(f"budget: {session.campaign.settings.budget.rounds} designs", "submit_design")
    first = not any(revision.figures for revision in session.campaign.ledger.revisions())
    if len({draft.block for draft in drafts}) < len(drafts) or not (drafts or first):
        raise InputError("give at least one draft, and one a block", "submit_design")
    for draft, candidate in zip(drafts, candidates, strict=True):
        if not candidate.passed:
            raise InputError("it did not pass its gates", draft.id, "read_findings says why")


def _commit(drafts: Sequence[Draft], candidates: Sequence[Candidate], reason: str, session: Session) -> Revision:
    campaign, number, best = session.campaign, session.round, best_revision(session.campaign)
    files = session.with_drafts(*drafts)
    parent = best.revision if best else None
    message = f"Round {number}: {reason}\n\nRound: {number}\nRole: rtl_writer\nModel: mcp\nParent: {parent or 'none'}\n"
    name = campaign.revisions.commit(files, parent, message, number)
    design = read_design(campaign.revisions.checkout(name))
    blocks = (best.blocks if best else {}) | {c.block: c.id for c in candidates}
    return Revision(
        revision=name, parent=parent, tree_hash=design.tree_hash, round=number, state="measured", role="rtl_writer",
        model="mcp", prompt_version="", reason=reason, parameters=design.manifest.parameters,
        variants=design.manifest.variants, blocks=blocks, gates=(), figures=None, cost=campaign.ledger.spent(number),
    )  # fmt: skip


def _refusal(revision: Revision, session: Session) -> str:
    lines = [f"{outcome.gate}: {'passed' if outcome.passed else 'refused'}" for outcome in revision.gates]
    if revision.gates and not revision.gates[-1].passed:
        lines += [f"- {finding}" for finding in condense(revision.gates[-1], contracts.load("top"))]
    lessons = session.campaign.ledger.lessons(before=revision.round + 1)
    return "\n".join([*lines, *([] if lines else lessons[-1:]), f"r{revision.round} refused"])


def _outcome(revision: Revision, accepted: bool) -> str:
    f = revision.figures
    assert f is not None, "it was measured"
    word = "accepted" if accepted else "not better than the best so far, or over a budget"
    return (
        f"r{revision.round} {word}: area {f.area_um2:.0f} um2, period {f.period_ns:.2f} ns, {f.cycles} cycles, "
        f"latency {f.latency_us:.1f} us, objective {f.objective:.5g}"
    )
