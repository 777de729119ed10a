"""Prompts stay short and their beginnings stay the same, however long a campaign goes on and however much is said."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from agents import api
from agents.designers.llm import LlmDesigner
from agents.designers.space import Space
from agents.models import Reply, Request, Usage, estimated_tokens
from agents.records import Budget
from agents.roles import bounds
from hwlib import contracts
from tests.agents.stand_in import SPEC, ToyEvaluator, ToyLibrary
from tests.benchmarks.prompt_cache import MOST_TOKENS, SHARE, measure_block, tokens

CALLS = 60


@pytest.mark.parametrize("whole", [False, True], ids=["edits", "whole files"])
@pytest.mark.parametrize("block", contracts.names())
def test_most_of_a_repair_loop_is_a_cached_prefix(block: str, whole: bool) -> None:
    sent, kept, longest = measure_block(block, whole)
    assert kept >= SHARE * sent
    assert tokens(longest) < MOST_TOKENS


class Verbose:
    """Answers every role at the greatest length that is let through, and keeps what it was asked."""

    name = "chat:verbose"

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def ask(self, request: Request) -> Reply:
        self.asked.append(request)
        answer = getattr(self, request.purpose)(len(self.asked))
        return Reply(json.dumps(answer, ensure_ascii=False), "done", Usage(1, 1), "verbose")

    def planner(self, number: int) -> object:
        order = {"block": "array", "intent": f"attempt {number}: " + "quicker é " * 1000}
        return {"reason": "because " * 500, "stop": False, "parameters": [], "orders": [order]}

    def rtl_writer(self, number: int) -> object:
        if number % 7 == 0:
            return {"files": [{"name": "other.v", "text": "y" * 200_000}]}
        text = f"// broken\n// {number}\n"
        return {"files": [{"name": "array.v", "text": text + "x" * (47_900 - len(text))}]}

    def verifier(self, number: int) -> object:
        return {"findings": [f"{number}.{n}: wrong " + "because of this " * 400 for n in range(40)]}


def test_prompts_of_a_long_campaign_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.steps.planning.PATIENCE", 1000)
    model = Verbose()
    api.start_campaign(
        SPEC, designer="llm", budget=Budget(rounds=14), evaluators=ToyEvaluator,
        designers=lambda campaign, evaluator: LlmDesigner(model, ToyLibrary(), Space(SPEC, evaluator.model_cycles)),
    )  # fmt: skip
    assert len(model.asked) >= CALLS
    assert {request.purpose for request in model.asked} == {"planner", "rtl_writer", "verifier"}
    sizes = [_tokens(request) for request in model.asked]
    assert max(sizes) < MOST_TOKENS
    assert max(sizes) > MOST_TOKENS / 2, "the campaign must have tried"


def _tokens(request: Request) -> int:
    said = "".join(message.text for message in request.messages)
    return estimated_tokens(said + json.dumps(asdict(request)["schema"]))


def test_the_bound_is_the_bar() -> None:
    assert bounds.MOST_BYTES < 3 * MOST_TOKENS
