"""Every provider's misbehaviour is survived, or ends in one clear line; records and ledger agree, nothing is lost."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from agents.designers import Unanswered
from agents.ledger import Ledger
from agents.models import Message, Request, heard, transport
from agents.models.meter import Metered
from agents.models.prices import FREE
from agents.models.record import Recorded
from agents.models.retry import Retrying
from agents.models.stream import Limits
from agents.records import Budget
from agents.roles.answers import BlockAnswer, schema_of
from agents.roles.ask import DoesNotFit, ask
from hwlib.errors import InputError
from tests.agents.misbehaving import RESET, Act, broken_off, event, http, misbehaving, streamed
from tests.agents.protocols import CHAT, MESSAGES, PATIENT, PROTOCOLS, RESPONSES, Protocol

KEY = "sk-canary-0123456789abcdef"
SAID = {"files": [], "edits": [], "findings": ["widen it"]}
TEXT = json.dumps(SAID)
REQUEST = Request("verifier", "verifier/1", (Message("system", "be brief"), Message("user", "why?")),
                  schema_of(BlockAnswer), order="001-array-x", block="array")  # fmt: skip
TIGHT = Limits(0.3, 0.8)


@dataclass(frozen=True)
class Fault:
    """`acts` are what a protocol's server does before it behaves; then `outcome` is to be: "answered" (with `pauses`
    before new tries, if they matter), or a pattern of the line it ends with."""

    name: str
    acts: Callable[[Protocol], list[Act]]
    outcome: str = "answered"
    pauses: tuple[float, ...] | None = None
    only: tuple[Protocol, ...] = PROTOCOLS
    slow: bool = False
    """The client's time limits are short."""


def status(number: int, headers: dict[str, str] | None = None, **error: Any) -> Callable[[Protocol], list[Act]]:
    """The answer is HTTP `number`."""
    body = {"type": "error", "error": {"type": "some_error", "message": "busy just now"} | error}
    return lambda protocol: [http(number, body, headers=headers)]


def said(text: str | None, times: int = 1, **how: Any) -> Callable[[Protocol], list[Act]]:
    """The stream is whole, and says `text`."""
    return lambda protocol: [streamed(protocol.events(text, **how))] * times


def cut(end: float, after: int) -> Callable[[Protocol], list[Act]]:
    """The stream breaks off after so many events."""
    return lambda protocol: [broken_off(protocol.events(TEXT)[:after], end)]


def sent(*act: bytes | float) -> Callable[[Protocol], list[Act]]:
    """Exactly these bytes and pauses."""
    return lambda protocol: [act]


def doubled(protocol: Protocol) -> list[Act]:
    return [streamed([one for one in protocol.events(TEXT) for _ in range(2)])]


def unfinished(protocol: Protocol) -> list[Act]:
    """Everything but what says that it is the end."""
    kept = [e for e in protocol.events(TEXT) if "stop" not in json.dumps(e[1]) and e[1] != "[DONE]"]
    return [streamed([e for e in kept if e[0] not in ("response.completed", "message_delta")])]


def error_within(kind: str, message: str) -> Callable[[Protocol], list[Act]]:
    """An error as an event, after the first of the answer."""

    def acts(protocol: Protocol) -> list[Act]:
        error: dict[str, Any] = {"type": kind, "code": kind, "message": message}
        data = error | {"type": "error", "sequence_number": 9} if protocol is RESPONSES else {"error": error}
        return [streamed([*protocol.events(TEXT)[:2], ("error", {"type": "error"} | data)])]

    return acts


OK_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n"
SSE = OK_HEAD % b"text/event-stream"
PAGE = b"<html><head><style>b{x}</style></head><body><h1>502 Bad Gateway</h1><hr>nginx</body></html>"
OVERFULL = {"message": "This model's maximum context length is 8192 tokens", "code": "context_length_exceeded"}
GARBAGE = "\ud800 \x1b[2J\x1b]0;owned\x07 \u202e \x00 é"
ANSI = json.dumps({"files": [], "edits": [], "findings": ["\x1b[31mred\x1b[0m\x07"]})
WRONG = json.dumps({"findings": "not a list"})

FAULTS = (
    Fault("408", status(408)),
    Fault("409", status(409)),
    Fault("429", status(429)),
    Fault("500", status(500)),
    Fault("503 twice", lambda p: status(503)(p) * 2, pauses=(1.0, 2.0)),
    Fault("529", status(529)),
    Fault("retry after seconds", status(429, {"retry-after": "7"}), pauses=(7.0,)),
    Fault("retry after a date", status(503, {"retry-after": formatdate(1_000_009, usegmt=True),
                                             "date": formatdate(1_000_000, usegmt=True)}), pauses=(9.0,)),
    Fault("retry after a past date", status(503, {"retry-after": formatdate(1_000_000, usegmt=True)}), pauses=(1.0,)),
    Fault("retry after milliseconds", status(429, {"retry-after-ms": "250", "retry-after": "9"}), pauses=(0.25,)),
    Fault("retry after nonsense", status(429, {"retry-after": "soon"}), pauses=(1.0,)),
    Fault("retry after infinity", status(429, {"retry-after": "inf"}), pauses=(1.0,)),
    Fault("retry after an hour", status(429, {"retry-after": "3600"}), "HTTP 429: busy just now; a pause of 3600 s"),
    Fault("down for good", lambda p: status(502)(p) * 6, "no answer after 6 tries: .*HTTP 502"),
    Fault("dropped before the head", sent(RESET)),
    Fault("closed before the head", sent()),
    Fault("dropped in the head", sent(b"HTTP/1.1 200 OK\r\ncontent-ty", RESET)),
    Fault("dropped in a whole body", sent(OK_HEAD % b"application/json" + b"content-length: 999\r\n\r\n{", RESET)),
    Fault("dropped in the stream", cut(RESET, 3)),
    Fault("closed in the stream", cut(0.0, 3)),
    Fault("closed at the stream's first event", cut(0.0, 0)),
    Fault("no end of the stream", unfinished),
    Fault("silent", sent(5.0), slow=True),
    Fault("silent in the stream", lambda p: [[*streamed(p.events(TEXT)[:3]), 5.0]], slow=True),
    Fault("dripping", sent(SSE + b"\r\n", *[b": keep", 0.1] * 12), slow=True),
    Fault("keep-alive comments without end", sent(SSE + b"\r\n", *[b": ping\n\n", 0.1] * 12), slow=True),
    Fault("not HTTP", sent(b"SSH-2.0-OpenSSH\r\n\r\n")),
    Fault("body is no JSON", lambda p: [http(200, b"{nonsense")]),
    Fault("body is a list", lambda p: [http(200, [1, 2])]),
    Fault("body is of something else", lambda p: [http(200, {"hello": "world"})]),
    Fault("a page instead", lambda p: [http(200, PAGE, "text/html")]),
    Fault("a page from a proxy", lambda p: [http(502, PAGE, "text/html")]),
    Fault("a page for ever", lambda p: [http(200, PAGE, "text/html")] * 6, "sent text/html, not a stream: 502 Bad Gat"),
    Fault("wrong content type", lambda p: [streamed(p.events(TEXT), "application/octet-stream")]),
    Fault("empty body", lambda p: [http(200, b"")]),
    Fault("empty stream", lambda p: [streamed([])]),
    Fault("not streamed", lambda p: [http(200, p.whole(TEXT))]),
    Fault("an error in a whole body", lambda p: [http(200, {"error": {"message": "oh", "type": "server_error"}})]),
    Fault("event is no JSON", lambda p: [streamed([*p.events(TEXT)[:2], (p.events(TEXT)[1][0], "{nonsense")])]),
    Fault("event is null", lambda p: [streamed([*p.events(TEXT)[:2], (p.events(TEXT)[1][0], "null")])]),
    Fault("event is not UTF-8", lambda p: [[*streamed(p.events(TEXT)[:2]), b"data: \xff\xfe\n\n"]]),
    Fault("overloaded in the stream", error_within("overloaded_error", "too many")),
    Fault("refused in the stream", error_within("invalid_request_error", "bad tool"), "refused the request .*bad tool"),
    Fault("401", status(401), "_API_KEY: the key was refused"),
    Fault("403", status(403), "_API_KEY: the key was refused"),
    Fault("404", status(404), "unknown model 'm'"),
    Fault("400", status(400, message="no such field"), "refused the request .*no such field"),
    Fault("418", status(418), "refused the request .*418"),
    Fault("402", status(402), "the account cannot pay"),
    Fault("quota", status(429, code="insufficient_quota"), "the account cannot pay"),
    Fault("context window", status(400, **OVERFULL), "does not fit the context window"),
    Fault("422 over the window", status(422, message="inputs must have less than 4096 tokens"), "does not fit"),
    Fault("prompt filtered", status(400, code="content_filter"), "refused to answer"),
    Fault("prompt filtered in the stream", error_within("invalid_prompt", "flagged"), "refused to answer"),
    Fault("413", status(413), "does not fit the context window"),
    Fault("context window in the stream", error_within("context_length_exceeded", "too long"), "does not fit"),
    Fault("an error with a page", lambda p: [http(403, PAGE, "text/html")], "the key was refused"),
    Fault("an error without words", lambda p: [http(422, b"")], "refused the request .*no reason given"),
    Fault("redirected", status(307, {"location": "http://127.0.0.1:1/else"}), "redirects .* to http://127.0.0.1:1/else"),
    Fault("redirected without a place", status(302), "redirects .* to nowhere"),
    Fault("compressed garbage", lambda p: [http(200, b"\x1f\x8bgarbage", headers={"content-encoding": "gzip"})]),
    Fault("compressed for ever", lambda p: [http(200, b"\x1f\x8b", headers={"content-encoding": "br"})] * 6,
          "compressed .br. though"),
    Fault("endless answer", lambda p: [streamed(p.events("x" * 5000)), streamed(p.events(TEXT))]),
    Fault("endless answers", said("x" * 5000, 2), "it was cut off at the length limit"),
    Fault("endless line", lambda p: [[SSE + b"\r\n", b"data: ", *[b"y" * 10_000] * 12], streamed(p.events(TEXT))]),
    Fault("no text", said(None)),
    Fault("no text twice", said(None, 2), "it was empty"),
    Fault("blank", said("  \n ")),
    Fault("no choices", lambda p: [streamed([("", {"id": "c", "choices": [], "model": "m"}), ("", "[DONE]")])],
          only=(CHAT,)),
    Fault("no choices in a whole body", lambda p: [http(200, {"id": "c", "choices": []})], only=(CHAT,)),
    Fault("null choices", lambda p: [streamed([("", {"id": "c", "choices": None}), ("", "[DONE]")])], only=(CHAT,)),
    Fault("content of a wrong kind", lambda p: [streamed(p.events(None, content={"a": 1}))], only=(CHAT,)),
    Fault("no output", lambda p: [streamed(p.events(None, output=[]))], only=(RESPONSES,)),
    Fault("null output", lambda p: [streamed(p.events(None, output=[{"type": "message", "content": None}]))],
          only=(RESPONSES,)),
    Fault("failed", lambda p: [http(200, p.whole(TEXT) | {"status": "failed", "error": {"code": "server_error"}})],
          only=(RESPONSES,)),
    Fault("usage missing", said(TEXT, usage=None)),
    Fault("usage negative", said(TEXT, usage=(-5, -7))),
    Fault("usage huge", said(TEXT, usage=(10**15, 3))),
    Fault("usage of a wrong kind", said(TEXT, usage=(1.5, 2))),
    Fault("cut at the length limit", said('{"files"', stop="truncated")),
    Fault("cut twice", said('{"files"', 2, stop="truncated"), "it was cut off"),
    Fault("refusal", said("", stop="refused"), "refused to answer"),
    Fault("content filter", said("", stop="filtered"), "refused to answer"),
    Fault("malformed JSON", said('{"files": [')),
    Fault("malformed JSON twice", said('{"files": [', 2), "Invalid JSON"),
    Fault("JSON in a fence", said(f"```json\n{TEXT}\n```")),
    Fault("does not fit the schema", said(WRONG)),
    Fault("does not fit the schema twice", said(WRONG, 2), "findings: Input should be a valid"),
    Fault("a number", said("7")),
    Fault("wrong tool", lambda p: [streamed(p.events(TEXT, tool="rm_rf"))], only=(MESSAGES,)),
    Fault("unasked tool call", lambda p: [streamed(p.events(
        None, tool_calls=[{"index": 0, "id": "x", "function": {"name": "ls", "arguments": '{"path": "/"}'}}]))],
        only=(CHAT,)),
    Fault("events twice", doubled),
    Fault("surrogates and controls", said(GARBAGE)),
    Fault("surrogates and controls twice", said(GARBAGE, 2), "gave no usable answer"),
    Fault("escape sequences in the answer", said(ANSI)),
    Fault("key echoed", lambda p: [http(429, {"error": {"message": "bad key {key}"}}, headers={"x-key": "{key}"})]),
    Fault("key echoed for good", lambda p: [http(400, {"error": {"message": "bad key {key}"}})], "bad key <"),
    Fault("key echoed as an answer", said("my key is {key}", 2), "gave no usable answer"),
    Fault("key echoed in a redirect", status(302, {"location": "http://x/{key}"}), "redirects .* to http://x/<"),
)  # fmt: skip
CASES = [pytest.param(fault, protocol, id=f"{fault.name}-{protocol.name}")
         for fault in FAULTS for protocol in fault.only]  # fmt: skip


@pytest.fixture(autouse=True)
def _small_world(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "RTLOOM_CHAT_API_KEY"):
        monkeypatch.setenv(variable, KEY)
    monkeypatch.setattr(heard, "MOST_BYTES", 2000)
    monkeypatch.setattr(transport, "MOST_BYTES", 60_000)


def test_there_are_enough_kinds() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 25


@pytest.mark.parametrize(("fault", "protocol"), CASES)
def test_a_fault_is_survived_or_ends_in_one_line(fault: Fault, protocol: Protocol, tmp_path: Path) -> None:
    ledger, slept = Ledger(tmp_path / "ledger.sqlite"), list[float]()
    good = streamed(protocol.events(TEXT))
    with misbehaving(*fault.acts(protocol), *[good] * 3, echo=True) as server:
        client = protocol.make(server.url, TIGHT if fault.slow else PATIENT)
        retrying = Retrying(client, slept.append, dice=lambda: 0.5)
        model = Metered(Recorded(retrying, tmp_path / "exchanges"), ledger, Budget(money_usd=1), {client.name: FREE})
        try:
            answer = ask(model, REQUEST, BlockAnswer, lambda answer: answer)
        except (Unanswered, InputError) as error:
            _check_line(fault, error)
        else:
            assert fault.outcome == "answered"
            assert answer.value.findings
            asked = len(server.asked)
            assert ask(model, REQUEST, BlockAnswer, lambda answer: answer) == answer
            assert len(server.asked) == asked, "what was answered is not asked again"
    if fault.pauses is not None:
        assert slept == pytest.approx(fault.pauses)
    _check_books(ledger, tmp_path)


def _check_line(fault: Fault, failure: Exception) -> None:
    line = str(failure)
    assert fault.outcome != "answered", line
    assert re.search(fault.outcome, line), line
    assert line.isprintable()
    assert KEY not in line
    assert failure.__cause__ is None
    assert isinstance(failure, DoesNotFit) == ("fit the context" in line)


def _check_books(ledger: Ledger, folder: Path) -> None:
    """Every reply is recorded and booked, once; every file is whole and holds no key."""
    kept = [json.loads(path.read_text()) for path in folder.glob("exchanges/*")]
    calls = ledger.calls()
    assert len(kept) == len(calls)
    used = [exchange["reply"]["usage"] for exchange in kept]
    assert all(0 <= usage[name] < 10**7 for usage in used for name in ("input_tokens", "output_tokens"))
    assert all(usage["input_tokens"] > 0 for usage in used), "a call without tokens would never end a budget"
    assert ledger.spent().tokens == sum(usage["input_tokens"] + usage["output_tokens"] for usage in used)
    ledger.close()
    for path in folder.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_a_dropped_stream_is_one_reply_from_the_try_that_was_whole(protocol: Protocol) -> None:
    acts = (broken_off(protocol.events('{"findings": ["no"]}')[:3], RESET), streamed(protocol.events(TEXT)))
    with misbehaving(*acts) as server:
        reply = Retrying(protocol.make(server.url), lambda seconds: None).ask(REQUEST)
    assert json.loads(reply.text) == SAID
    assert (reply.stop, reply.usage.input_tokens, reply.usage.output_tokens, reply.model) == ("done", 12, 5, "m-1")


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_tokens_are_told_as_they_come(protocol: Protocol) -> None:
    told: list[int] = []
    with misbehaving(streamed(protocol.events(TEXT * 20))) as server:
        protocol.make(server.url, listener=lambda request, tokens: told.append(tokens)).ask(REQUEST)
    assert told == sorted(told)
    assert len(set(told)) >= 3
    assert told[-1] == pytest.approx(len(TEXT) * 20 / 4, rel=0.1)


def test_an_event_of_an_unknown_kind_is_passed_over() -> None:
    for protocol in PROTOCOLS:
        first, *rest = protocol.events(TEXT)
        unknown = event("ping", {"type": "ping"}) if protocol is not CHAT else b": ping\n\n"
        act = [*streamed([first]), unknown, *streamed(rest)[1:]]
        with misbehaving(act) as server:
            assert json.loads(protocol.make(server.url).ask(REQUEST).text) == SAID
