"""A cascade of writers: who is asked next, and when."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from agents import api
from agents.designers.llm import LlmDesigner
from agents.designers.space import Space
from agents.models import Model, Reply, Request, Stop, Usage
from agents.models.team import Team
from agents.records import Budget, CampaignResult
from tests.agents.misbehaving import misbehaving, streamed
from tests.agents.protocols import CHAT
from tests.agents.stand_in import SPEC, ToyEvaluator, ToyLibrary

PLAN = {"reason": "r", "stop": False, "parameters": [], "orders": [{"block": "array", "intent": "quicker"}]}


class Says:
    """A model that gives its answers in turn: text, or how it ends without one."""

    def __init__(self, name: str, *answers: object) -> None:
        self.name, self.left = name, list(answers)
        self.asked: list[Request] = []

    def ask(self, request: Request) -> Reply:
        self.asked.append(request)
        answer = self.left.pop(0)
        stop: Stop = answer if answer in ("refused", "overflow", "truncated") else "done"  # type: ignore[assignment]
        return Reply(json.dumps(answer) if stop == "done" else "", stop, Usage(10, 1), self.name)


def swap(old: str, new: str) -> object:
    return {"edits": [{"name": "array.v", "search": f"// {old}\n", "replace": f"// {new}\n"}]}


def run(verifier: Model, *writers: Model) -> CampaignResult:
    team = Team(Says("planner", PLAN), writers, verifier)
    made: Callable[..., LlmDesigner] = lambda campaign, evaluator: LlmDesigner(  # noqa: E731
        team, ToyLibrary(), Space(SPEC, evaluator.model_cycles)
    )
    return api.start_campaign(
        SPEC, designer="llm", budget=Budget(rounds=2), evaluators=ToyEvaluator, designers=made
    )  # fmt: skip


def test_the_small_model_alone_settles_what_it_can() -> None:
    small, large, verifier = Says("small", swap("plain", "quick")), Says("large"), Says("verifier")
    result = run(verifier, small, large)
    assert result.accepted is not None
    assert (result.accepted.round, result.accepted.model) == (1, "small")
    assert large.asked == []


def test_a_draft_that_fails_its_tests_goes_to_the_next_model_with_the_conversation() -> None:
    small = Says("small", swap("plain", "broken"))
    large = Says("large", swap("broken", "broken\n// still"), swap("broken", "quick"))
    finding = {"findings": ["not broken"]}
    result = run(Says("verifier", finding, finding), small, large)
    assert result.accepted is not None
    assert result.accepted.model == "large"
    assert (len(small.asked), len(large.asked)) == (1, 2)
    first = large.asked[0].messages
    assert first[: len(small.asked[0].messages)] == small.asked[0].messages
    assert "not broken" in first[-2].text


@pytest.mark.parametrize("answers", [("refused",), ("overflow",), ("truncated", "truncated"), ([], "truncated")])
def test_a_model_without_a_usable_answer_hands_the_same_draft_on(answers: tuple[object, ...]) -> None:
    small, large = Says("small", *answers), Says("large", swap("plain", "quick"))
    result = run(Says("verifier"), small, large)
    assert result.accepted is not None
    assert result.accepted.model == "large"
    assert large.asked[0].messages == small.asked[0].messages
    assert small.left == []


def test_if_the_last_model_has_no_answer_either_the_block_is_given_up() -> None:
    result = run(Says("verifier"), Says("small", "refused"), Says("large", "overflow"))
    assert result.accepted is not None
    assert result.accepted.round == 0
    assert any("the prompt does not fit the context window of large" in lesson for lesson in result.status.lessons)


def test_a_conversation_that_does_not_fit_is_opened_anew_with_the_block_as_it_is() -> None:
    writer = Says("one", swap("plain", "broken"), "overflow", swap("broken", "quick"))
    result = run(Says("verifier", {"findings": ["not broken"]}), writer)
    assert result.accepted is not None
    assert result.accepted.round == 1
    assert [len(request.messages) for request in writer.asked] == [2, 6, 2]
    assert "// broken" in writer.asked[2].messages[1].text
    assert "not broken" in writer.asked[2].messages[1].text


def test_ctrl_c_ends_a_campaign_that_waits_for_an_answer_and_it_resumes(monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = [*streamed(CHAT.events("{}")[:2]), 60.0]
    script = (
        streamed(CHAT.events(json.dumps(PLAN))),
        hanging,
        streamed(CHAT.events(json.dumps(swap("plain", "quick")))),
    )
    monkeypatch.setattr("agents.designers.choose.TemplateLibrary", ToyLibrary)
    with misbehaving(*script) as server:

        def interrupt() -> None:
            while len(server.asked) < 2:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)

        killer = threading.Thread(target=interrupt)
        killer.start()
        with pytest.raises(KeyboardInterrupt):
            api.start_campaign(
                SPEC, designer="llm", model=f"chat:m@{server.url}/v1", budget=Budget(rounds=2), evaluators=ToyEvaluator
            )
        killer.join()
        assert server.hung_up.wait(10), "the stream must be closed, not left to run on"
        assert api.campaign_status("toy").state == "interrupted"
        result = api.resume_campaign("toy", evaluators=ToyEvaluator)
        assert result.accepted is not None
        assert result.accepted.round == 1
        assert len(server.asked) == 3, "the plan was answered before and is not asked again"
