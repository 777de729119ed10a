"""The RTL writer's and the verifier's steps on one block."""

from __future__ import annotations

from dataclasses import replace

from pydantic import TypeAdapter

from agents import expectations, extra_tests
from agents.cost import described
from agents.designers import BlockCost, BudgetSpent, Candidate, Files, Reading, Talk, Unanswered, WorkOrder
from agents.evaluator import BLOCK_GATES, TEMPLATE_GATES
from agents.parameters import relevant
from agents.records import GateOutcome
from agents.state import BlockState
from agents.store import text_hash
from agents.tools.desk import Built, Desk
from agents.workshop import LESSON_CHARACTERS, Workshop, as_order, manifest_text, run_gates
from hwlib import contracts
from hwlib.design import Design
from verification.proposals import NAME as EXTRA

_TALK = TypeAdapter(Talk)


def write_block(state: BlockState, shop: Workshop) -> BlockState:
    """Have the designer write the block; its text goes to the store."""
    order = as_order(state["order"])
    parent = {name: shop.campaign.texts.get(content) for name, content in state["files"].items()}
    if not state["attempt"]:
        parent = _block_of_base(order.block, state["base"], shop)
    shop.tell("start", "write", order.round, block=order.block, text=order.variant or order.intent)
    try:
        shop.check_time()
        desk = _desk(order, state, shop)
        written = shop.designer.write(order, contracts.load(order.block), parent, state["findings"], desk,
                                      _talk(state, shop))  # fmt: skip
    except (BudgetSpent, Unanswered) as error:
        return {"attempt": state["attempt"] + 1, "files": {}, "findings": [str(error)]}
    files = {name: shop.campaign.texts.put(text) for name, text in sorted(written.files.items())}
    return {
        "attempt": state["attempt"] + 1,
        "files": files,
        "origin": [written.model, written.prompt_version],
        "note": written.note,
        "talk": _keep_talk(written.talk, shop),
        "findings": [],
    }


def _desk(order: WorkOrder, state: BlockState, shop: Workshop) -> Desk:
    """The tools' access to this order: its records, and a bench for drafts."""

    def lay_out(draft: Files) -> Design | None:
        return _bench_design({name: shop.campaign.texts.put(text) for name, text in draft.items()}, state, shop)

    built = Built()
    if state["base"]:
        revision = shop.revision(state["base"])
        parts = {block: shop.campaign.ledger.candidate(identity) for block, identity in revision.blocks.items()}
        candidate = parts.pop(order.block)
        others = {block: part.cost for block, part in parts.items() if part.cost is not None}
        built = Built(
            candidate.id, candidate.cost, revision.figures, others, _reached(order, state, shop), revision.parameters
        )
    return Desk(shop.campaign, shop.evaluator, order.key, order.block, order.round, state["parameters"], lay_out, built)


def _reached(order: WorkOrder, state: BlockState, shop: Workshop) -> dict[str, BlockCost]:
    """What this round's blocks of lower levels cost. Those of the order's own level are written beside it: whether one
    is done would depend on the clock, and a resumed campaign would ask something else."""
    done = [shop.campaign.ledger.candidate(identity) for identity in state["children"].values()]
    return {one.block: one.cost for one in done if one.cost is not None and one.block != order.block}


def _block_of_base(block: str, base: str, shop: Workshop) -> Files:
    return shop.files(shop.revision(base).blocks[block]) if base else {}


def verify_block(state: BlockState, shop: Workshop) -> BlockState:
    """Run the block's gates and its synthesis, keep the candidate, and say what the writer should mend."""
    order = as_order(state["order"])
    candidate = _judge_candidate(state, order, shop)
    shop.campaign.ledger.put_candidate(candidate)
    spent = bool(candidate.outcomes) and candidate.outcomes[-1].gate == "budget"
    last = state["attempt"] > shop.campaign.settings.repairs
    hopeless = candidate.passed or spent or last or not state["files"]
    reading = Reading([], _talk(state, shop)) if hopeless else _reading(state, order, candidate, shop)
    done = not reading.findings
    if candidate.passed:
        _hold_against(candidate, state["base"], shop)
    if done and not candidate.passed:
        learn_from(candidate, shop)
    return {
        "findings": reading.findings,
        "talk": _keep_talk(reading.talk, shop),
        "done": done,
        "candidates": {order.key: candidate.passed} if done else {},
    }


def _hold_against(candidate: Candidate, base: str, shop: Workshop) -> None:
    """Keep as a lesson how the block's figures differ from what its order expected."""
    if not base:
        return
    revision = shop.revision(base)
    was = shop.campaign.ledger.candidate(revision.blocks[candidate.block]).cost
    moved = relevant(candidate.block, candidate.parameters) != relevant(candidate.block, revision.parameters)
    lesson = expectations.of_block(candidate, was, moved)
    if lesson:
        shop.learn(f"expected-{candidate.id}", candidate.order.round, lesson)


def _talk(state: BlockState, shop: Workshop) -> Talk:
    return _TALK.validate_json(shop.campaign.texts.get(state["talk"])) if state.get("talk") else Talk()


def _keep_talk(talk: Talk, shop: Workshop) -> str:
    return shop.campaign.texts.put(_TALK.dump_json(talk).decode()) if talk.messages else ""


def _reading(state: BlockState, order: WorkOrder, candidate: Candidate, shop: Workshop) -> Reading:
    files = {name: shop.campaign.texts.get(content) for name, content in state["files"].items()}
    try:
        return shop.designer.read(order, files, candidate.outcomes, _desk(order, state, shop), _talk(state, shop))
    except BudgetSpent:
        return Reading([])


def _judge_candidate(state: BlockState, order: WorkOrder, shop: Workshop) -> Candidate:
    model, prompt_version = state["origin"]
    blank = Candidate(
        order, state["parameters"], state["files"], False, (), None, state["attempt"], model, prompt_version,
        state.get("note", ""),
    )  # fmt: skip
    if not state["files"]:
        return replace(blank, outcomes=(GateOutcome("write", order.block, False, tuple(state["findings"])),))
    design = _bench_design(state["files"], state, shop)
    if design is None:
        missing = "a block it instantiates has no passing candidate"
        return replace(blank, outcomes=(GateOutcome("closure", order.block, False, (missing,)),))
    key = f"{order.key}/{text_hash(str(sorted(state['files'].items())))[:12]}"
    outcomes = _judge(design, order, key, shop)
    if not all(outcome.passed for outcome in outcomes):
        return replace(blank, outcomes=outcomes)
    try:
        shop.pay(f"{key}/cost", "synthesise", order.round)
    except BudgetSpent as error:
        return replace(blank, outcomes=(*outcomes, GateOutcome("budget", order.block, False, (str(error),))))
    cost = shop.evaluator.block_cost(design, order.block)
    shop.tell("done", "verify", order.round, block=order.block,
              text=f"{order.variant} {cost.area_um2:.0f} um2 {cost.period_ns:.2f} ns")  # fmt: skip
    return replace(blank, passed=True, outcomes=outcomes, cost=cost)


def _judge(design: Design, order: WorkOrder, key: str, shop: Workshop) -> tuple[GateOutcome, ...]:
    """The block's gates, then the tests a verifier added in earlier rounds, if there are any."""
    extra = extra_tests.kept(shop.campaign.ledger, order.block, order.round)

    def run(gate: str) -> GateOutcome:
        if gate == EXTRA:
            return shop.evaluator.check_tests(design, order.block, extra)
        return shop.evaluator.check_block(design, order.block, gate)

    names = (*(TEMPLATE_GATES if order.variant else BLOCK_GATES), *((EXTRA,) if extra else ()))
    return run_gates(names, order.block, key, order.round, run, shop)


def _bench_design(hashes: dict[str, str], state: BlockState, shop: Workshop) -> Design | None:
    """A folder with the block's files (text hashes by name) and everything below it; None if that is missing."""
    order = as_order(state["order"])
    files = {f"rtl/{name}": shop.campaign.texts.get(content) for name, content in hashes.items()}
    inherited = shop.revision(state["base"]).blocks if state["base"] else {}
    variants = {order.block: described(order)}
    for name in _below(order.block):
        identity = state["children"].get(name) or inherited.get(name)
        if identity is None:
            return None
        variants[name] = described(shop.campaign.ledger.candidate(identity).order)
        files |= {f"rtl/{file}": text for file, text in shop.files(identity).items()}
    files["design.yaml"] = manifest_text(shop, state["parameters"], variants)
    return shop.laid_out(files)


def _below(block: str) -> set[str]:
    direct = {name for name in contracts.load(block).uses if name in contracts.names()}
    return direct.union(*map(_below, direct)) if direct else set()


def learn_from(candidate: Candidate, shop: Workshop) -> None:
    """Keep as a lesson what a candidate was refused for."""
    failed = candidate.outcomes[-1]
    what = candidate.order.variant or candidate.order.intent or "attempt"
    lesson = f"{candidate.block} ({what}) was refused by {failed.gate}: {'; '.join(failed.findings[:2])}"
    shop.campaign.ledger.learn(candidate.id, candidate.order.round, lesson[:LESSON_CHARACTERS])
