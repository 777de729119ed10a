"""The planner's step and the end of a round."""

from __future__ import annotations

from agents.designers import BudgetSpent, Plan
from agents.state import BlockState, State
from agents.workshop import Workshop, as_data, as_order, context, level

PATIENCE = 2
"""Rounds without a better design after which a campaign has converged."""


def plan_round(state: State, shop: Workshop) -> State:
    """Ask the designer for a plan; a budget that is spent gives a plan without orders."""
    number = state.get("round", 0)
    shop.tell("start", "plan", number)
    try:
        plan = shop.designer.plan(context(state, shop))
    except BudgetSpent as error:
        plan = Plan(state.get("parameters", {}), (), str(error))
    shop.tell("done", "plan", number, text=plan.reason)
    return {
        "round": number,
        "parameters": plan.parameters,
        "orders": [as_data(order) for order in plan.orders],
        "reason": plan.reason,
        "author": [plan.role, plan.model, plan.prompt_version],
        "level": 0,
        "candidates": None,  # type: ignore[typeddict-item]  # the reducer's word for starting afresh
        "revision": "",
        "verdict": "refused",
    }


def branches(state: State) -> list[BlockState]:
    """The block branches of the current level, each with the candidates of lower levels it is verified with."""
    orders = [as_order(data) for data in state["orders"]]
    children: dict[str, str] = {}
    for order in orders:
        if state["candidates"].get(order.key):
            children.setdefault(order.block, order.key)
    return [
        {"order": as_data(order), "parameters": state["parameters"], "attempt": 0, "files": {}, "origin": ["", ""],
         "findings": [], "children": children, "best": state.get("best", ""), "done": False, "candidates": {}}
        for order in orders if level(order.block) == state["level"]
    ]  # fmt: skip


def settle_round(state: State, shop: Workshop) -> State:
    """Count the round and decide whether another may begin."""
    stale = state.get("stale", 0) + 1
    ending = _ending(state, shop, stale)
    if ending:
        shop.tell("note", "settle", state["round"], text=ending)
    return {"round": state["round"] + 1, "stale": stale, "ending": ending}


def _ending(state: State, shop: Workshop, stale: int) -> str:
    budget, spent = shop.campaign.settings.budget, shop.campaign.ledger.spent()
    if not state["orders"]:
        return state["reason"]
    if stale >= PATIENCE:
        return f"converged: {stale} rounds without a better design"
    if state["round"] + 1 >= budget.rounds:
        return f"budget: {budget.rounds} rounds"
    if budget.wall_s is not None and spent.wall_s >= budget.wall_s:
        return f"budget: {budget.wall_s:.0f} s of wall time"
    if budget.tokens is not None and spent.tokens >= budget.tokens:
        return f"budget: {budget.tokens} tokens"
    if budget.money_usd is not None and spent.money_usd >= budget.money_usd:
        return f"budget: {budget.money_usd:.2f} USD"
    return ""
