"""The campaign's graph for LangGraph Studio, which brings persistence of its own (`agents/langgraph.json`)."""

from __future__ import annotations

from typing import Any

from langgraph.graph.state import CompiledStateGraph

from agents.graph import build


def campaign() -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph without a checkpointer, to be looked at: a campaign's records have one process, `rtloom run`."""
    return build(None, context=None)
