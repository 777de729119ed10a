"""Runs a campaign's graph over its checkpoints until it ends, waits for a review, or is asked to stop."""

from __future__ import annotations

import uuid
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

from agents import checkpoints, decisions
from agents.graph import build
from agents.records import CampaignState, Cost
from agents.workshop import Workshop

Graph = CompiledStateGraph[Any, Any, Any, Any]
_STEPS = 1_000_000
"""LangGraph's own bound on steps; the campaign's budget is what ends it."""


def run(shop: Workshop) -> tuple[CampaignState, str]:
    """Run or continue the campaign; the caller holds its lock. Returns its state and why it is in it."""
    ledger = shop.campaign.ledger
    with checkpoints.opened(shop.campaign) as (saver, thread):
        graph = build(saver)
        config: RunnableConfig = {
            "configurable": {"thread_id": thread},
            "max_concurrency": shop.campaign.settings.workers,
            "recursion_limit": _STEPS,
        }
        ledger.set_fact("state", "running")
        ledger.set_fact("why", "")
        about = {
            "rtloom.campaign.name": shop.campaign.name,
            "rtloom.campaign.designer": shop.campaign.settings.designer,
        }
        with shop.traces.span("campaign", about) as note:
            state, why = _advance(graph, config, shop)
            note({"rtloom.campaign.state": state})
    ledger.set_fact("state", state)
    ledger.set_fact("why", why)
    return state, why


def _advance(
    graph: CompiledStateGraph[Any, Any, Any, Any], config: RunnableConfig, shop: Workshop
) -> tuple[CampaignState, str]:
    snapshot = graph.get_state(config)
    # Not `snapshot.next`: that is empty too after a kill between a node's last write and the checkpoint that follows.
    entry: Any = None if snapshot.tasks else {"round": 0, "best": "", "stale": 0, "ending": ""}
    if snapshot.values.get("ending"):
        return _ended(snapshot.values)
    if snapshot.interrupts:
        answer = _answer(snapshot.values, shop)
        if answer is None:
            return "waiting", "a revision waits for review"
        entry = Command(resume=answer)
    session = uuid.uuid4().hex
    shop.clock.lap()
    for number, _ in enumerate(
        graph.stream(entry, config, context=shop, durability="sync", stream_mode="updates", subgraphs=False)
    ):
        round_ = graph.get_state(config).values.get("round", 0)
        shop.campaign.ledger.charge(f"wall/{session}/{number}", "wall", round_, Cost(wall_s=shop.clock.lap()))
        if shop.campaign.stop_requested:
            return "stopped", "stopped on request"
    snapshot = graph.get_state(config)
    if snapshot.interrupts:
        return "waiting", "a revision waits for review"
    return _ended(snapshot.values)


def _ended(values: dict[str, Any]) -> tuple[CampaignState, str]:
    return ("accepted" if values.get("best") else "failed"), values["ending"]


def _answer(values: dict[str, Any], shop: Workshop) -> dict[str, object] | None:
    """The decision on the waiting revision's tree, if a person has made one and the tree is still that."""
    found = decisions.standing(shop.campaign, shop.revision(values["revision"]))
    return None if found is None else {"approve": found[0], "reason": found[1]}
