"""langgraph.json as LangGraph's tools read it: a module and a factory, resolved and called."""

from __future__ import annotations

import importlib
import json

import pytest
from langgraph.graph.state import CompiledStateGraph

from agents.studio import campaign
from hwlib.errors import InputError
from hwlib.generate import ROOT

CONFIG = ROOT / "agents" / "langgraph.json"


def test_studio_finds_the_campaigns_graph() -> None:
    config = json.loads(CONFIG.read_text())
    assert [(CONFIG.parent / path).resolve() for path in config["dependencies"]] == [ROOT]
    ((name, word),) = config["graphs"].items()
    module, _, factory = word.partition(":")
    graph = getattr(importlib.import_module(module), factory)()
    assert name == "campaign"
    assert isinstance(graph, CompiledStateGraph)
    assert not graph.checkpointer
    drawn = graph.get_graph(xray=True)
    nodes = {node.rpartition(":")[2] for node in drawn.nodes}
    assert {"plan", "write", "verify", "assemble", "gate", "measure", "decide", "review", "accept", "settle"} <= nodes


def test_what_studio_asks_of_a_graph_can_be_answered() -> None:
    graph = campaign()
    for schema in (graph.get_input_jsonschema(), graph.get_output_jsonschema()):
        assert schema["type"] == "object"
    assert graph.get_context_jsonschema() is None


def test_a_run_without_a_campaign_is_refused_in_words() -> None:
    with pytest.raises(InputError, match="no campaign to work on; campaigns run with: rtloom run"):
        campaign().invoke({"round": 0})
