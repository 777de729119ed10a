"""Pauses between tries, time limits and interruptions of streams, and what Anthropic is told to cache."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from agents.models import Message, Reply, Request, Transient, Usage
from agents.models.anthropic_messages import AnthropicMessages
from agents.models.failures import wish
from agents.models.retry import Pace, Retrying
from agents.models.stream import Interrupted, Limits, closed_on_interrupt
from agents.progress import Event, plain_line
from hwlib.errors import InputError
from tests.agents.misbehaving import misbehaving, streamed
from tests.agents.protocols import CHAT, MESSAGES

REQUEST = Request("planner", "planner/1", (Message("system", "be brief"), Message("user", "count")), {"type": "object"})


class Failing:
    """Fails `times` times, with `after_s` as the provider's wish, then answers."""

    name = "openai:m"

    def __init__(self, times: int, after_s: float | None = None) -> None:
        self.left, self.after_s = times, after_s

    def ask(self, request: Request) -> Reply:
        self.left -= 1
        if self.left >= 0:
            raise Transient("busy", self.after_s)
        return Reply("{}", "done", Usage(1, 1), "m")


USUAL = Pace()


def pauses(model: Failing, dice: Callable[[], float], pace: Pace = USUAL) -> list[float]:
    slept: list[float] = []
    Retrying(model, slept.append, dice, pace).ask(REQUEST)
    return slept


def test_pauses_grow_to_a_limit_and_the_jitter_is_full() -> None:
    assert pauses(Failing(5), lambda: 1.0) == [2, 4, 8, 16, 32]
    assert pauses(Failing(5), lambda: 1.0, Pace(longest_s=10)) == [2, 4, 8, 10, 10]
    assert pauses(Failing(5), lambda: 0.0) == [0, 0, 0, 0, 0]
    drawn = iter([0.5, 0.25])
    assert pauses(Failing(2), lambda: next(drawn)) == [1, 1]


def test_the_providers_wish_counts_as_it_is() -> None:
    assert pauses(Failing(2, 90.0), lambda: 1.0) == [90, 90]


def test_all_pauses_together_are_bounded() -> None:
    slept: list[float] = []
    with pytest.raises(InputError, match=r"no answer after 3 tries: busy; a pause of 250 s is called for; try later"):
        Retrying(Failing(9, 250.0), slept.append).ask(REQUEST)
    assert slept == [250, 250]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "x", "retry-after": "9"}, 9.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT", "date": "Fri, 31 Dec 1999 23:59:49 GMT"}, 10.0),
        ({"retry-after": "Friday, 31-Dec-99 23:59:59 GMT", "date": "Fri, 31 Dec 1999 23:59:49 GMT"}, 10.0),
        ({"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}, 0.0),
        ({"retry-after": "tomorrow"}, None),
    ],
)
def test_how_a_provider_asks_for_a_pause(headers: dict[str, str], seconds: float | None) -> None:
    assert wish(headers) == seconds


def test_a_time_limit_closes_the_stream() -> None:
    with misbehaving([*streamed(CHAT.events('{"n": 3}')[:2]), 30.0]) as server:
        with pytest.raises(Transient, match=r"nothing came for 0\.2 s|timed out"):
            CHAT.make(server.url, Limits(0.2, 9.0)).ask(REQUEST)
        assert server.hung_up.wait(5), "the server must see the connection end"


def test_an_interruption_closes_streams_of_other_threads() -> None:
    ended: list[BaseException] = []

    def work(url: str) -> None:
        try:
            Retrying(CHAT.make(url, Limits(60.0, 60.0))).ask(REQUEST)
        except BaseException as error:
            ended.append(error)

    with misbehaving([*streamed(CHAT.events('{"n": 3}')[:2]), 30.0]) as server:
        worker = threading.Thread(target=work, args=(server.url,))
        begin = time.monotonic()

        def interrupted() -> None:
            with closed_on_interrupt():
                worker.start()
                while not server.asked:
                    time.sleep(0.01)
                os.kill(os.getpid(), signal.SIGINT)
                worker.join(20)

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        worker.join(20)
        assert [type(error) for error in ended] == [Interrupted]
        assert server.hung_up.wait(5)
        assert time.monotonic() - begin < 20
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_after_an_interruption_nothing_is_asked_until_it_is_left() -> None:
    with misbehaving(streamed(CHAT.events("{}"))) as server:

        def interrupted() -> None:
            with closed_on_interrupt():
                try:
                    os.kill(os.getpid(), signal.SIGINT)
                except KeyboardInterrupt:
                    CHAT.make(server.url).ask(REQUEST)

        with pytest.raises(Interrupted):
            interrupted()
        assert CHAT.make(server.url).ask(REQUEST).text == "{}"


def test_an_interruption_ends_a_pause() -> None:
    ended: list[BaseException] = []
    model = Failing(9, 30.0)

    def work() -> None:
        try:
            Retrying(model).ask(REQUEST)
        except BaseException as error:
            ended.append(error)

    worker = threading.Thread(target=work)

    def interrupted() -> None:
        with closed_on_interrupt():
            worker.start()
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    worker.join(20)
    assert [type(error) for error in ended] == [Interrupted]
    assert model.left == 8


def test_what_anthropic_is_told_to_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    talk = (Message("system", "rules"), Message("user", "contract|order", stable=9), Message("assistant", "{}"),
            Message("user", "mend it"))  # fmt: skip
    with misbehaving(streamed(MESSAGES.events("{}"))) as server:
        AnthropicMessages("m", server.url).ask(Request("rtl_writer", "1", talk, {"type": "object"}))
    (asked,) = server.asked
    mark = {"cache_control": {"type": "ephemeral"}}
    assert asked["system"] == [{"type": "text", "text": "rules", **mark}]
    assert [message["content"] for message in asked["messages"]] == [
        [{"type": "text", "text": "contract|", **mark}, {"type": "text", "text": "order"}],
        [{"type": "text", "text": "{}"}],
        [{"type": "text", "text": "mend it", **mark}],
    ]
    assert asked["tool_choice"] == {"type": "tool", "name": "answer"}
    assert asked["stream"] is True


def test_a_log_has_a_line_on_a_stream_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    from agents import progress

    clock, out = iter([0.0, 1.0, 6.0, 7.0, 12.0]), io.StringIO()
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    show = progress.plain(out)
    events = [Event("stream", "write", 1, "array", text=f"~{n} tokens") for n in range(5)]
    for event in events:
        show(event)
    assert out.getvalue().splitlines() == [plain_line(events[2]), plain_line(events[4])]


def test_the_board_shows_tokens_as_they_come() -> None:
    from rich.console import Console

    from agents.cli.live import Board

    board = Board()
    board.take(Event("start", "write", 1, "array", text="make it quick", best=0.5))
    board.take(Event("stream", "write", 1, "array", text="~40 tokens"))
    board.take(Event("stream", "write", 1, "array", text="~80 tokens"))
    console = Console(width=100)
    with console.capture() as shown:
        console.print(board)
    assert "~80 tokens" in shown.get()
    assert "~40 tokens" not in shown.get()
    assert "best objective 0.5" in shown.get()
