"""Choose the blocks of a round's design. A template is simulated only now: most of what a search tries is never chosen.

It is simulated with the blocks it is chosen with, as fully as the whole design's gates do, whose evidence that then is.
One that fails is left out, and the choice made again.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace

from agents.cost import described
from agents.designers import Candidate, Files
from agents.evaluator import BLOCK_GATES, TEMPLATE_GATES
from agents.parameters import relevant
from agents.state import State
from agents.steps.blocks import learn_from
from agents.workshop import Workshop, as_order, context, manifest_text, run_gates
from hwlib import contracts
from hwlib.design import Design

LATER = tuple(gate for gate in BLOCK_GATES if gate not in TEMPLATE_GATES)
"""Gates of a template that is chosen."""
Parts = dict[str, Candidate]
"""A candidate for every block."""


class NothingToAssemble(Exception):
    """Why the round has no design."""


def choose(state: State, shop: Workshop) -> Parts:
    """The designer's choice among what passed, templates simulated. Raises NothingToAssemble."""
    offers, now = _offers(state, shop), context(state, shop)
    parent = next((r for r in now.revisions if r.revision == state.get("base")), None)
    while True:
        short = [block for block, offered in offers.items() if not offered]
        if short:
            raise NothingToAssemble(f"no candidate of {', '.join(short)} passed its gates")
        chosen = shop.designer.select(replace(now, parent=parent), state["parameters"], offers)
        parts = {block: shop.campaign.ledger.candidate(chosen[block]) for block in contracts.names()}
        refused = _simulated(parts, state, shop)
        if not refused:
            return parts
        offers = {block: [c for c in offered if c.id not in refused] for block, offered in offers.items()}


def files_of(parts: Mapping[str, Candidate], parameters: dict[str, int], shop: Workshop) -> Files:
    """The design's files by path, its manifest among them."""
    files = {
        f"rtl/{name}": shop.campaign.texts.get(content)
        for part in parts.values()
        for name, content in part.files.items()
    }
    variants = {block: described(part.order) for block, part in parts.items()}
    return files | {"design.yaml": manifest_text(shop, parameters, variants)}


def _offers(state: State, shop: Workshop) -> dict[str, list[Candidate]]:
    """Passing candidates by block at the round's parameters: this round's in plan order, then earlier ones."""
    ids = [as_order(data).key for data in state["orders"]]
    fresh = [shop.campaign.ledger.candidate(i) for i in ids if state["candidates"].get(i)]
    old = shop.campaign.ledger.candidates(before=state["round"])
    offers: dict[str, list[Candidate]] = {block: [] for block in contracts.names()}
    for candidate in (c for c in fresh + old if c.passed):
        block, here = candidate.block, state["parameters"]
        if relevant(block, candidate.parameters) == relevant(block, here):
            offers[block].append(candidate)
    return offers


def _simulated(parts: Parts, state: State, shop: Workshop) -> set[str]:
    """Candidates that are refused now; what is simulated is kept with its candidate."""
    waiting = [part for part in parts.values() if not {*LATER} <= {outcome.gate for outcome in part.outcomes}]
    if not waiting:
        return set()
    design = shop.laid_out(files_of(parts, state["parameters"], shop))
    with ThreadPoolExecutor(shop.campaign.settings.workers) as pool:  # traces find their parent in the context
        asked = [pool.submit(copy_context().run, _judged, part, design, shop) for part in waiting]
        judged = [each.result() for each in asked]
    for candidate in judged:
        shop.campaign.ledger.put_candidate(candidate)
        if not candidate.passed:
            learn_from(candidate, shop)
    return {candidate.id for candidate in judged if not candidate.passed}


def _judged(part: Candidate, design: Design, shop: Workshop) -> Candidate:
    """`part` with what its later gates said. Raises NothingToAssemble if the budget is spent."""
    key = f"{part.id}/{design.folder.name[:12]}"
    outcomes = run_gates(LATER, part.block, key, part.order.round,
                         lambda gate: shop.evaluator.check_block(design, part.block, gate), shop)  # fmt: skip
    if outcomes[-1].gate == "budget":
        raise NothingToAssemble("; ".join(outcomes[-1].findings))
    return replace(part, outcomes=(*part.outcomes, *outcomes), passed=all(outcome.passed for outcome in outcomes))
