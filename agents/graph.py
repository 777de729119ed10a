"""The workflow, whole: plan; write and verify each block, with repairs; assemble, gate, measure, decide.

    plan ──► block × n (write ◄─► verify), level by level ──► assemble ──► gate ──► measure ──► decide
      ▲                                                                                           │
      └──────────────────────── settle ◄── accept ◄── review (a person, if asked for) ◄───────────┘

Nodes only name what happens; `agents/steps` does it. A node runs again from its top after a kill or an interrupt,
so all its effects are keyed by content. State holds names; files, gate results and figures lie in the campaign.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send, interrupt

from agents.state import BlockResult, BlockState, State
from agents.steps import blocks, planning, whole
from agents.traces import node
from agents.workshop import TOP_LEVEL, Workshop
from hwlib.errors import InputError


def plan(state: State, runtime: Runtime[Workshop]) -> State:
    """The planner sets the round's parameters and orders the blocks to write."""
    if runtime.context is None:
        raise InputError("this graph was given no campaign to work on", "plan", "campaigns run with: rtloom run SPEC")
    return planning.plan_round(state, runtime.context)


def write(state: BlockState, runtime: Runtime[Workshop]) -> BlockState:
    """The RTL writer answers one order, or mends its last attempt by the verifier's findings."""
    return blocks.write_block(state, runtime.context)


def verify(state: BlockState, runtime: Runtime[Workshop]) -> BlockState:
    """The verifier runs the block's gates and turns failures into findings."""
    return blocks.verify_block(state, runtime.context)


def climb(state: State, runtime: Runtime[Workshop]) -> State:
    """All branches of a level are in; blocks that instantiate them come next."""
    return {"level": state["level"] + 1}


def assemble(state: State, runtime: Runtime[Workshop]) -> State:
    """The designer chooses a candidate of each block; together they become a revision."""
    return whole.assemble_revision(state, runtime.context)


def gate(state: State, runtime: Runtime[Workshop]) -> State:
    """The whole design's gates, cheapest first."""
    return whole.gate_revision(state, runtime.context)


def measure(state: State, runtime: Runtime[Workshop]) -> State:
    """Area, period, power and the workload's cycles on the RTL."""
    return whole.measure_revision(state, runtime.context)


def decide(state: State, runtime: Runtime[Workshop]) -> State:
    """Is it within budget and better than the best so far?"""
    return whole.judge_revision(state, runtime.context)


def review(state: State, runtime: Runtime[Workshop]) -> State:
    """Wait for a person. Nothing else happens in this node, because it runs again when the answer comes."""
    answer = interrupt({"revision": state["revision"]})
    return whole.apply_decision(state, runtime.context, approve=answer["approve"], reason=answer["reason"])


def accept(state: State, runtime: Runtime[Workshop]) -> State:
    """The revision becomes the campaign's accepted design."""
    return whole.accept_revision(state, runtime.context)


def settle(state: State, runtime: Runtime[Workshop]) -> State:
    """The round is over: go on, or end and say why."""
    return planning.settle_round(state, runtime.context)


def to_blocks(state: State) -> list[Send] | str:
    """Fan out the orders of the current level; past the last level, assemble. A plan without orders settles."""
    if not state["orders"]:
        return "settle"
    return [Send("block", branch) for branch in planning.branches(state)] or _up_or_on(state)


def _up_or_on(state: State) -> str:
    return "climb" if state["level"] <= TOP_LEVEL else "assemble"


def unless_refused(onward: str) -> Callable[[State], str]:
    """Go `onward`, or settle a refused round."""
    return lambda state: "settle" if state["verdict"] == "refused" else onward


def by_verdict(state: State) -> str:
    """A better design is accepted, after review if that was asked for; any other settles."""
    return {"waiting": "review", "approved": "accept"}.get(state["verdict"], "settle")


def unless_void(state: State) -> str:
    """Settle, unless the approval turned out void."""
    return "review" if state["verdict"] == "waiting" else "settle"


def build(
    checkpointer: Any, context: type[Workshop] | None = Workshop
) -> CompiledStateGraph[State, Workshop, State, State]:
    """The campaign's graph over `checkpointer`. Without `context` it can be looked at, not run."""
    block = StateGraph(BlockState, context_schema=context, output_schema=BlockResult)
    block.add_node("write", node(write))
    block.add_node("verify", node(verify))
    block.add_edge(START, "write")
    block.add_edge("write", "verify")
    block.add_conditional_edges("verify", lambda s: END if s["done"] else "write", ["write", END])

    graph = StateGraph(State, context_schema=context)
    graph.add_node("block", block.compile())
    for step in (plan, climb, assemble, gate, measure, decide, review, accept, settle):
        graph.add_node(step.__name__, node(step))
    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", to_blocks, ["block", "climb", "assemble", "settle"])
    graph.add_edge("block", "climb")
    graph.add_conditional_edges("climb", to_blocks, ["block", "climb", "assemble"])
    graph.add_conditional_edges("assemble", unless_refused("gate"), ["gate", "settle"])
    graph.add_conditional_edges("gate", unless_refused("measure"), ["measure", "settle"])
    graph.add_conditional_edges("measure", unless_refused("decide"), ["decide", "settle"])
    graph.add_conditional_edges("decide", by_verdict, ["review", "accept", "settle"])
    graph.add_conditional_edges("review", by_verdict, ["accept", "review", "settle"])
    graph.add_conditional_edges("accept", unless_void, ["review", "settle"])
    graph.add_conditional_edges("settle", lambda s: END if s["ending"] else "plan", ["plan", END])
    return graph.compile(checkpointer=checkpointer)
