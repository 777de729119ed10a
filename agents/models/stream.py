"""Reads a provider's stream in a thread of its own, so that whoever waits for it can give up: at a time limit, or
when the user interrupts."""

from __future__ import annotations

import contextlib
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from agents.models import Transient

_POLL_S = 0.2
"""How soon an interruption is noticed."""
_END = object()
_interruptions: list[float] = []
"""When (s, monotonic) the user interrupted. What began before must end, however late it notices."""
_ending = threading.Event()
"""Set from an interruption until what was interrupted is left: until then nothing begins either."""


_open: set[_Reader] = set()
"""Streams that threads read. An interruption closes them itself: whoever asked may not be looking any more."""


class Interrupted(KeyboardInterrupt):
    """The user interrupted while a model was asked."""


def _check(begun: float) -> None:
    if _ending.is_set() or (_interruptions and _interruptions[-1] >= begun):
        raise Interrupted


@dataclass(frozen=True)
class Limits:
    """How long (s) a provider may say nothing, and may take in all."""

    silence_s: float = 600.0
    whole_s: float = 3600.0


HOSTED = Limits()
"""Of a provider with machines enough."""


@dataclass(frozen=True)
class _Failure:
    error: BaseException


def events(start: Callable[[], Any], decode: Callable[[Any], Iterator[Any]], limits: Limits) -> Iterator[Any]:
    """What `decode` makes of the SDK stream that `start` opens. The stream is closed however this ends.

    Raises what `start` and `decode` raise; Transient at a time limit; Interrupted.
    """
    _check(time.monotonic())
    reader = _Reader(start, decode)
    end = time.monotonic() + limits.whole_s
    try:
        while (event := reader.next(limits.silence_s, end)) is not _END:
            if isinstance(event, _Failure):
                raise event.error
            yield event
    finally:
        reader.close()


class _Reader:
    """The thread that blocks on the socket; a daemon, as it may have to be left behind."""

    def __init__(self, start: Callable[[], Any], decode: Callable[[Any], Iterator[Any]]) -> None:
        self._start, self._decode = start, decode
        self._said: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._stream: Any = None
        self._begun = time.monotonic()
        _open.add(self)
        threading.Thread(target=self._read, daemon=True).start()

    def next(self, silence_s: float, end: float) -> Any:
        """The next event, a _Failure or _END."""
        quiet = time.monotonic() + silence_s
        while True:
            _check(self._begun)
            left = min(quiet, end) - time.monotonic()
            if left <= 0:
                why = f"nothing came for {silence_s:g} s" if quiet < end else "the answer took too long"
                raise Transient(why)
            with contextlib.suppress(queue.Empty):
                event = self._said.get(timeout=min(_POLL_S, left))
                _check(self._begun)
                return event

    def close(self) -> None:
        """End the connection; the thread then sees it ended and closes the stream."""
        self._closed.set()
        if self._stream is not None:
            _hang_up(self._stream)

    def _read(self) -> None:
        try:
            self._stream = self._start()
            with self._stream:
                if not self._closed.is_set():
                    for event in self._decode(self._stream):
                        self._said.put(event)
            self._said.put(_END)
        except BaseException as error:
            self._said.put(_Failure(error))
        finally:
            _open.discard(self)


def _hang_up(stream: Any) -> None:
    """Wake the thread that reads `stream`: closing its socket would not, shutting it down does."""
    network = stream.response.extensions.get("network_stream")
    found = network.get_extra_info("socket") if network is not None else None
    if found is not None:
        with contextlib.suppress(OSError, ValueError):
            found.shutdown(socket.SHUT_RDWR)


def pause(seconds: float) -> None:
    """Sleep; Interrupted if the user interrupts."""
    begun = time.monotonic()
    while (left := begun + seconds - time.monotonic()) > 0:
        time.sleep(min(_POLL_S, left))
        _check(begun)


@contextmanager
def closed_on_interrupt() -> Iterator[None]:
    """While this holds, Ctrl-C also ends what other threads ask models, instead of waiting for the answers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def interrupt(number: int, frame: FrameType | None) -> None:
        _interruptions.append(time.monotonic())
        for reader in list(_open):
            reader.close()
        _ending.set()
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        _ending.clear()
