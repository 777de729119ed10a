"""The steps on the whole design: assemble, gate, measure, decide, accept."""

from __future__ import annotations

import time
from dataclasses import replace

from agents import decisions, expectations
from agents.designers import BudgetSpent, Candidate, Files
from agents.evaluator import DESIGN_GATES, broken_budgets, figures
from agents.records import Revision
from agents.state import State, Verdict
from agents.steps.choosing import NothingToAssemble, choose, files_of
from agents.workshop import Workshop, as_order, keep, run_gates
from hwlib.design import read_design


def assemble_revision(state: State, shop: Workshop) -> State:
    """Choose the blocks, commit them as a revision. Nothing to assemble, or nothing new, refuses the round."""
    number = state["round"]
    try:
        parts = choose(state, shop)
    except NothingToAssemble as why:
        return _nothing(state, shop, str(why))
    files = files_of(parts, state["parameters"], shop)
    known = {r.tree_hash: r for r in shop.campaign.ledger.revisions() if r.round < number}
    revision = _commit(state, shop, files, parts)
    if revision.tree_hash in known:
        return _nothing(state, shop, f"the same design as round {known[revision.tree_hash].round}'s")
    shop.campaign.ledger.put_revision(number, revision)
    shop.tell("done", "assemble", number, text=f"revision {revision.revision[:10]}")
    return {"revision": revision.revision, "verdict": "measured"}


def _nothing(state: State, shop: Workshop, why: str) -> State:
    shop.learn("assemble", state["round"], why)
    shop.tell("fail", "assemble", state["round"], text=why)
    return {"revision": "", "verdict": "refused"}


def _commit(state: State, shop: Workshop, files: Files, parts: dict[str, Candidate]) -> Revision:
    number, best = state["round"], state.get("best", "")
    role, model, prompt_version = state["author"]
    writers = {part.model for part in parts.values() if part.model} or {model}
    spent = shop.campaign.ledger.spent(number)
    trailers = {
        "Round": number,
        "Role": role,
        "Model": ", ".join(sorted(writers)) or "none",
        "Prompt": prompt_version or "none",
        "Parent": best or "none",
        "Evaluations": spent.evaluations,
        "Tokens": spent.tokens,
    }
    message = f"Round {number}: {state['reason']}\n\n" + "".join(f"{k}: {v}\n" for k, v in trailers.items())
    name = shop.campaign.revisions.commit(files, best or None, message, number)
    design = read_design(shop.campaign.revisions.checkout(name))
    return Revision(
        revision=name, parent=best or None, tree_hash=design.tree_hash, round=number, state="measured", role=role,
        model=", ".join(sorted(writers)), prompt_version=prompt_version, reason=state["reason"],
        parameters=design.manifest.parameters, variants=design.manifest.variants,
        blocks={block: part.id for block, part in parts.items()}, gates=(), figures=None, cost=spent,
    )  # fmt: skip


def gate_revision(state: State, shop: Workshop) -> State:
    """Run the whole-design gates; a refusal becomes a lesson."""
    revision = shop.revision(state["revision"])
    design = read_design(shop.campaign.revisions.checkout(revision.revision))
    outcomes = run_gates(DESIGN_GATES, "design", f"{state['round']:03d}-design", state["round"],
                          lambda gate: shop.evaluator.check_design(design, gate), shop)  # fmt: skip
    passed = all(outcome.passed for outcome in outcomes)
    cost = shop.campaign.ledger.spent(state["round"])
    keep(shop, replace(revision, gates=outcomes, cost=cost, state="measured" if passed else "failed"))
    if not passed:
        shop.learn("gate", state["round"], f"refused by {outcomes[-1].gate}: {'; '.join(outcomes[-1].findings[:2])}")
    return {"verdict": "measured" if passed else "refused"}


def measure_revision(state: State, shop: Workshop) -> State:
    """Measure the revision and keep its figures; a budget that is spent refuses it."""
    revision = shop.revision(state["revision"])
    try:
        shop.pay(f"{state['round']:03d}-design/measure", "measure", state["round"])
    except BudgetSpent as error:
        keep(shop, replace(revision, state="failed"))
        shop.learn("measure", state["round"], str(error))
        return {"verdict": "refused"}
    begin = time.monotonic()
    measured = shop.evaluator.measure(read_design(shop.campaign.revisions.checkout(revision.revision)))
    found = figures(shop.campaign.spec, measured)
    keep(shop, replace(revision, figures=found, cost=shop.campaign.ledger.spent(state["round"])))
    area = f"{found.area_um2 / 1e6:.3f} mm2"
    _learn_cycles(state, shop, found.cycles)
    text = f"objective {found.objective:.4g}: {area}, {found.period_ns:.2f} ns, {found.cycles} cycles"
    shop.tell("done", "measure", state["round"], text=text, seconds=time.monotonic() - begin)
    return {}


def _learn_cycles(state: State, shop: Workshop, cycles: int) -> None:
    """Hold the cycles against what the plan expected of them."""
    base = shop.revision(state["base"]).figures if state.get("base") else None
    lesson = expectations.of_cycles([as_order(data) for data in state["orders"]], base.cycles, cycles) if base else ""
    if lesson:
        shop.learn("expected-cycles", state["round"], lesson)


def judge_revision(state: State, shop: Workshop) -> State:
    """Compare with the best so far; a broken budget becomes a lesson."""
    revision = shop.revision(state["revision"])
    assert revision.figures is not None, "measure comes before decide"
    broken = broken_budgets(shop.campaign.spec, revision.figures)
    best = shop.revision(state["best"]).figures if state.get("best") else None
    if broken:
        shop.learn("budget", state["round"], "; ".join(broken))
    better = not broken and (best is None or revision.figures.objective < best.objective)
    verdict: Verdict = "measured"
    if better:
        verdict = "waiting" if shop.campaign.settings.review == "wait" else "approved"
    keep(shop, replace(revision, state="waiting" if verdict == "waiting" else "measured"))
    shop.tell(
        "note",
        "decide",
        state["round"],
        text="better" if better else "; ".join(broken) or "not better than the best so far",
    )
    return {"verdict": verdict}


def apply_decision(state: State, shop: Workshop, approve: bool, reason: str) -> State:
    """Take a person's answer; a rejection is a constraint on later rounds. The answer is void if the tree changed."""
    if decisions.standing(shop.campaign, shop.revision(state["revision"])) is None:
        return {"verdict": "waiting"}
    if not approve:
        keep(shop, replace(shop.revision(state["revision"]), state="rejected"))
        shop.learn("review", state["round"], f"a reviewer rejected it: {reason}")
    return {"verdict": "approved" if approve else "measured"}


def accept_revision(state: State, shop: Workshop) -> State:
    """Make the revision the accepted one; the one before is superseded. An approval of another tree is void."""
    revision = shop.revision(state["revision"])
    approved = decisions.standing(shop.campaign, revision)
    if shop.campaign.settings.review == "wait" and (approved is None or not approved[0]):
        keep(shop, replace(revision, state="waiting"))
        return {"verdict": "waiting"}
    for other in shop.campaign.ledger.revisions():
        if other.state == "accepted" and other.revision != state["revision"]:
            keep(shop, replace(other, state="superseded"))
    keep(shop, replace(revision, state="accepted"))
    shop.campaign.revisions.accept(state["revision"])
    shop.tell("done", "accept", state["round"], text=f"revision {state['revision'][:10]}")
    return {"best": state["revision"], "stale": -1}
