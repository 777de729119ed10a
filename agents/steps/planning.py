"""The planner's step and the end of a round."""

from __future__ import annotations

from agents import limits
from agents.designers import TOO_FEW, BudgetSpent, Plan
from agents.state import BlockState, State
from agents.workshop import Workshop, as_data, as_order, context, level, orders_left

PATIENCE = 2
"""Rounds without a better design after which a campaign has converged."""


def plan_round(state: State, shop: Workshop) -> State:
    """Ask the designer for a plan; a budget that is spent gives a plan without orders."""
    number = state.get("round", 0)
    known = context(state, shop)
    shop.tell("start", "plan", number)
    try:
        shop.check_time()
        plan = shop.designer.plan(known)
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
        "base": plan.parent or (known.base.revision if known.base else ""),
        "candidates": None,  # type: ignore[typeddict-item]  # the reducer's word for starting afresh
        "revision": "",
        "verdict": "refused",
    }


def branches(state: State) -> list[BlockState]:
    """The block branches of the current level, each with the candidates of lower levels it is verified with: those
    written in this round. Templates that are tried are not simulated yet, and may not be taken: where there is a design
    to build on, its blocks stand in for them."""
    orders = [as_order(data) for data in state["orders"]]
    children: dict[str, str] = {}
    for order in orders:
        if state["candidates"].get(order.key) and not (order.variant and state["base"]):
            children.setdefault(order.block, order.key)
    return [
        {"order": as_data(order), "parameters": state["parameters"], "attempt": 0, "files": {}, "origin": ["", ""],
         "findings": [], "talk": "", "children": children, "base": state["base"], "done": False, "candidates": {}}
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
    rounds = shop.campaign.settings.budget.rounds
    if not state["orders"]:
        return state["reason"]
    spent = limits.time_spent(shop.campaign, shop.clock) or limits.money_spent(shop.campaign)
    if spent:
        return spent
    if stale >= PATIENCE:
        return f"converged: {stale} rounds without a better design"
    if state["round"] + 1 >= rounds:
        return f"budget: {rounds} rounds"
    return "" if orders_left(shop.campaign, state["round"] + 1) else TOO_FEW
