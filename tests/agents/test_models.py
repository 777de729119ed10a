"""Model clients against local servers that answer as the providers do, errors included."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agents.designers import BudgetSpent
from agents.ledger import Ledger
from agents.models import Message, Model, Reply, Request, Transient, Usage, estimated_tokens
from agents.models.anthropic_messages import AnthropicMessages
from agents.models.choose import client
from agents.models.meter import Metered, Purse
from agents.models.openai_chat import OpenAIChat
from agents.models.openai_responses import OpenAIResponses
from agents.models.prices import price_list
from agents.models.record import Recorded, Replay
from agents.models.retry import TRIES, Retrying
from agents.records import Budget
from agents.roles import prompts
from hwlib.errors import InputError
from tests.agents.fake_server import Answer, Server, serving

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
REQUEST = Request("planner", "planner/1", (Message("system", "be brief"), Message("user", "count")), SCHEMA)
TEXT = '{"n": 3}'
Body = dict[str, object]
Make = Callable[[Server], Model]


def responses_body(text: str = TEXT, **changes: object) -> Body:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    item = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": content}
    details = {"input_tokens_details": {"cached_tokens": 4}, "output_tokens_details": {"reasoning_tokens": 0}}
    usage = {"input_tokens": 12, "output_tokens": 5, "total_tokens": 17, **details}
    return {"id": "r", "object": "response", "created_at": 1, "model": "m-1", "status": "completed",
            "output": [item], "parallel_tool_calls": False, "tool_choice": "auto", "tools": [],
            "usage": usage} | changes  # fmt: skip


def chat_body(text: str | None = TEXT, finish: str = "stop", **message: object) -> Body:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text} | message}
    usage = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m-1", "choices": [choice], "usage": usage}


def messages_body(stop: str = "tool_use", content: list[dict[str, object]] | None = None) -> Body:
    tool = {"type": "tool_use", "id": "t", "name": "answer", "input": {"n": 3}}
    usage = {"input_tokens": 8, "output_tokens": 5, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 0}
    return {"id": "a", "type": "message", "role": "assistant", "model": "m-1", "stop_sequence": None,
            "stop_reason": stop, "content": [tool] if content is None else content, "usage": usage}  # fmt: skip


def openai(server: Server) -> Model:
    return OpenAIResponses("m", server.url + "/v1")


def chat(server: Server) -> Model:
    return OpenAIChat("m", server.url + "/v1")


def claude(server: Server) -> Model:
    return AnthropicMessages("m", server.url)


EVERY = pytest.mark.parametrize(
    ("make", "body"), [(openai, responses_body()), (chat, chat_body()), (claude, messages_body())],
    ids=["responses", "chat", "messages"],
)  # fmt: skip


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")


@EVERY
def test_an_answer_arrives_with_its_usage(make: Make, body: Body) -> None:
    with serving(Answer(body)) as server:
        reply = make(server).ask(REQUEST)
    assert json.loads(reply.text) == {"n": 3}
    assert (reply.stop, reply.usage.tokens, reply.model) == ("done", 17, "m-1")


@EVERY
@pytest.mark.parametrize("status", [408, 409, 429, 500, 529])
def test_a_passing_failure_is_retried(make: Make, body: Body, status: int) -> None:
    slept: list[float] = []
    with serving(Answer({"error": {"message": "busy"}}, status, {"retry-after": "7"}), Answer(body)) as server:
        reply = Retrying(make(server), slept.append).ask(REQUEST)
        assert len(server.asked) == 2
    assert reply.stop == "done"
    assert slept == [7.0]


@EVERY
def test_a_dropped_connection_is_retried(make: Make, body: Body) -> None:
    with serving(Answer(drop=True), Answer(body)) as server:
        assert Retrying(make(server), lambda s: None).ask(REQUEST).stop == "done"


@EVERY
def test_it_gives_up_after_so_many_tries(make: Make, body: Body) -> None:
    slept: list[float] = []
    with serving(*[Answer({"error": {"message": "busy"}}, 503)] * TRIES) as server:
        with pytest.raises(InputError, match="no answer after 6 tries"):
            Retrying(make(server), slept.append).ask(REQUEST)
        assert len(server.asked) == TRIES
    assert len(slept) == TRIES - 1


@EVERY
@pytest.mark.parametrize(
    ("status", "line"), [(401, "the key was refused"), (404, "unknown model 'm'"), (400, "bad schema")]
)
def test_a_lasting_failure_is_one_clear_line(make: Make, body: Body, status: int, line: str) -> None:
    with serving(Answer({"error": {"message": "bad schema"}}, status)) as server:
        with pytest.raises(InputError, match=line):
            Retrying(make(server), lambda s: None).ask(REQUEST)
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("make", "body"),
    [
        (openai, responses_body('{"n"', status="incomplete", incomplete_details={"reason": "max_output_tokens"})),
        (chat, chat_body('{"n"', "length")),
        (claude, messages_body("max_tokens", [{"type": "text", "text": '{"n"'}])),
    ],
)
def test_truncation_is_told(make: Make, body: Body) -> None:
    with serving(Answer(body)) as server:
        assert make(server).ask(REQUEST).stop == "truncated"


@pytest.mark.parametrize(
    ("make", "body"),
    [
        (openai, responses_body(status="incomplete", incomplete_details={"reason": "content_filter"})),
        (openai, responses_body(output=[{"type": "message", "id": "m", "role": "assistant", "status": "completed",
                                         "content": [{"type": "refusal", "refusal": "no"}]}])),
        (chat, chat_body(None, "stop", refusal="no")),
        (claude, messages_body("refusal", [])),
    ],
)  # fmt: skip
def test_a_refusal_is_told(make: Make, body: Body) -> None:
    with serving(Answer(body)) as server:
        assert make(server).ask(REQUEST).stop == "refused"


def test_the_answers_schema_is_sent_once_whatever_the_provider() -> None:
    begun = prompts.begin("suite_writer", specification="s", text="", findings=())
    schema = prompts.schema("suite_writer")
    with serving(Answer(responses_body()), Answer(chat_body()), Answer(messages_body())) as server:
        for make in (openai, chat, claude):
            make(server).ask(replace(REQUEST, messages=begun, schema=schema))
    sent = [json.dumps(body).replace("\\", "") for _, body in server.asked]
    assert [body.count(json.dumps(schema["properties"])) for body in sent] == [1, 1, 1]
    said = server.asked[1][1]["messages"]
    assert said[0]["content"].endswith(json.dumps(schema))
    assert [message["role"] for message in said] == ["system", "user"]


def test_each_provider_gets_its_own_form() -> None:
    with serving(Answer(responses_body()), Answer(chat_body()), Answer(messages_body())) as server:
        for make in (openai, chat, claude):
            make(server).ask(REQUEST)
    (responses, first), (completions, second), (messages, third) = server.asked
    assert [responses, completions, messages] == ["/v1/responses", "/v1/chat/completions", "/v1/messages"]
    assert first["text"]["format"]["schema"] == SCHEMA
    assert second["messages"][1:] == [{"role": "user", "content": "count"}]
    assert third["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert third["tools"][0]["input_schema"] == SCHEMA
    mark = {"cache_control": {"type": "ephemeral"}}
    assert third["messages"] == [{"role": "user", "content": [{"type": "text", "text": "count", **mark}]}]


@pytest.mark.parametrize(("word", "variable"), [("openai:m", "OPENAI_API_KEY"), ("anthropic:m", "ANTHROPIC_API_KEY")])
def test_a_missing_key_is_one_clear_line(word: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(variable)
    with pytest.raises(InputError, match=f"{variable}: no API key; export {variable}"):
        client(word)


@pytest.mark.parametrize("word", ["", "gpt", "acme:m", "openai:"])
def test_a_word_that_names_no_model_says_the_forms(word: str) -> None:
    with pytest.raises(InputError, match="openai:MODEL, anthropic:MODEL or chat:MODEL@"):
        client(word)


def test_a_chat_model_needs_an_address() -> None:
    with pytest.raises(InputError, match="needs its server's address"):
        client("chat:llama")


class Scripted:
    """A model that answers from a list."""

    name = "openai:gpt-5"

    def __init__(self, *texts: str) -> None:
        self.left = list(texts)

    def ask(self, request: Request) -> Reply:
        if not self.left:
            raise Transient("nothing left")
        return Reply(self.left.pop(0), "done", Usage(1000, 100, 400), "gpt-5")


def test_an_exchange_is_recorded_once_and_replayed_byte_for_byte(tmp_path: Path) -> None:
    first = Recorded(Scripted(TEXT), tmp_path).ask(REQUEST)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert Recorded(Scripted(), tmp_path).ask(REQUEST) == first
    assert Replay("openai:gpt-5", tmp_path).ask(REQUEST) == first
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files
    kept = json.loads(next(iter(files.values())))
    assert kept["request"]["prompt_version"] == "planner/1"
    assert kept["request"]["messages"][1] == {"role": "user", "text": "count", "stable": 0}
    assert kept["reply"]["usage"]["cached_tokens"] == 400


def test_replay_of_what_was_never_asked_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no recorded answer to this planner prompt \(planner/1\)"):
        Replay("openai:gpt-5", tmp_path).ask(REQUEST)


def test_calls_are_booked_once_and_a_spent_budget_refuses(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    model = Metered(Recorded(Scripted(TEXT, TEXT), tmp_path / "x"), ledger, Budget(tokens=LONGEST + 2000), price_list())
    model.ask(REQUEST)
    assert ledger.spent().tokens == 1100
    assert ledger.spent().money_usd == pytest.approx((600 * 1.25 + 400 * 0.125 + 100 * 10) / 1e6)
    model.ask(REQUEST)
    assert ledger.spent().tokens == 1100
    model.ask(Request("planner", "planner/2", REQUEST.messages, SCHEMA))
    with pytest.raises(BudgetSpent, match=f"{LONGEST + 2000} tokens"):
        model.ask(Request("planner", "planner/3", REQUEST.messages, SCHEMA))


LONGEST = 16_000 + sum(estimated_tokens(text) for text in ("be brief", "count", json.dumps(SCHEMA)))
"""Tokens REQUEST may take: the longest answer, its messages and its schema."""


@pytest.mark.parametrize(("tokens", "asked"), [(LONGEST - 1, False), (LONGEST, True)])
def test_a_call_that_might_pass_the_budget_is_not_made(tokens: int, asked: bool, tmp_path: Path) -> None:
    ledger, model = Ledger(tmp_path / "ledger.sqlite"), Scripted(TEXT)
    metered = Metered(model, ledger, Budget(tokens=tokens), price_list())
    if asked:
        metered.ask(REQUEST)
    else:
        with pytest.raises(BudgetSpent):
            metered.ask(REQUEST)
    assert model.left == ([] if asked else [TEXT])


def test_money_is_held_back_for_the_longest_answer(tmp_path: Path) -> None:
    ledger, model = Ledger(tmp_path / "ledger.sqlite"), Scripted(TEXT, TEXT)
    with pytest.raises(BudgetSpent, match=r"0\.16 USD"):
        Metered(model, ledger, Budget(money_usd=0.16), price_list()).ask(REQUEST)
    Metered(model, ledger, Budget(money_usd=0.161), price_list()).ask(REQUEST)
    assert len(model.left) == 1


def test_what_was_answered_before_is_free_however_little_is_left(tmp_path: Path) -> None:
    ledger, recorded = Ledger(tmp_path / "ledger.sqlite"), Recorded(Scripted(TEXT), tmp_path / "x")
    recorded.ask(REQUEST)
    assert Metered(recorded, ledger, Budget(tokens=10), price_list()).ask(REQUEST).text == TEXT
    assert ledger.spent().tokens == 1100


def test_calls_side_by_side_wait_for_room_and_never_pass_the_budget(tmp_path: Path) -> None:
    ledger, budget = Ledger(tmp_path / "ledger.sqlite"), Budget(tokens=LONGEST + 3 * 1100)
    under_way, most, lock = [0], [0], threading.Lock()

    class Slow(Scripted):
        def ask(self, request: Request) -> Reply:
            with lock:
                under_way[0] += 1
                most[0] = max(most[0], under_way[0])
            time.sleep(0.02)
            with lock:
                under_way[0] -= 1
            return Reply(TEXT, "done", Usage(1000, 100), "gpt-5")

    purse, refused = Purse(ledger, budget), list[int]()

    def work(number: int) -> None:
        try:
            Metered(Slow(), ledger, budget, price_list(), purse).ask(replace(REQUEST, round=number))
        except BudgetSpent:
            refused.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1, "two at once might have passed the budget"
    assert (ledger.spent().tokens, len(refused)) == (4 * 1100, 4)


def test_a_money_budget_needs_a_price(tmp_path: Path) -> None:
    model = Scripted()
    model.name = "openai:unheard-of"
    with pytest.raises(InputError, match="no price known for openai:unheard-of"):
        Metered(model, Ledger(tmp_path / "ledger.sqlite"), Budget(money_usd=1.0), price_list())
