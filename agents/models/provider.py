"""What the three clients share: open a stream through the SDK, listen to it, and say plainly what went wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Protocol

import httpx2

from agents.models import Listener, Reply, Request, Transient, Usage, unheard
from agents.models import stream as streams
from agents.models.failures import Unsaid, gist, raise_for, raise_for_kind
from agents.models.heard import Heard
from agents.models.keys import hidden
from agents.models.stream import Limits
from agents.models.transport import TooLarge
from hwlib.errors import plain

Event = dict[str, Any]
_GARBAGE = (ValueError, KeyError, TypeError, AttributeError, IndexError)
"""What the SDKs and we raise over an answer that is not what the protocol says."""


class Dialect(Protocol):
    """One provider's protocol, on the SDK it publishes. `sdk` has the SDK's exceptions."""

    sdk: Any
    variable: str
    model: str

    def open(self, request: Request) -> Any:
        """The SDK's stream of events."""

    def hear(self, event: Event, heard: Heard) -> None:
        """Add what `event` says."""

    def whole(self, body: Event) -> Iterator[Event]:
        """The events that say what `body`, an answer that was not streamed, says."""


class Provider:
    """A model that speaks `dialect`; one call, no retries. `listener` is told how much of an answer has come."""

    def __init__(self, name: str, dialect: Dialect, limits: Limits, listener: Listener = unheard) -> None:
        self.name = name
        self._dialect, self._limits, self._listener = dialect, limits, listener

    def ask(self, request: Request) -> Reply:
        """The reply. No exception here carries another: theirs hold headers, and headers hold keys."""
        heard = Heard()
        try:
            self._listen(request, heard)
        except TooLarge:
            heard.stop = "truncated"
        except Unsaid as error:
            return Reply("", error.stop, Usage(request.tokens, 0, estimated=True), self.name)
        return heard.reply(request, self.name)

    def _listen(self, request: Request, heard: Heard) -> None:
        sdk, dialect = self._dialect.sdk, self._dialect
        try:
            for event in streams.events(lambda: dialect.open(request), self._events, self._limits):
                dialect.hear(event, heard)
                self._listener(request, heard.tokens)
                if heard.full:
                    return
            if not heard.ended:
                raise Transient(f"{self.name}: the stream ended before the answer did")
        except sdk.APIStatusError as error:
            self._raise_for_status(error)
        except sdk.APIConnectionError as error:
            raise Transient(f"{self.name}: {_cause(error)}") from None
        except sdk.APIError as error:
            raise_for_kind(error.body, self.name)
        except httpx2.HTTPError as error:
            raise Transient(f"{self.name}: {_cause(error)}") from None
        except _GARBAGE as error:
            raise Transient(f"{self.name}: the answer cannot be understood ({type(error).__name__})") from None

    def _raise_for_status(self, error: Any) -> None:
        if error.status_code < 300:  # an error in the middle of a stream that began well
            raise_for_kind(error.body, self.name)
        body = error.body if error.body is not None else error.response.text
        raise_for(error.status_code, body, error.response.headers, self._dialect.model, self._dialect.variable)

    def _events(self, stream: Any) -> Iterator[Event]:
        """The stream's events as plain data; a whole answer, from a server that does not stream, as events too."""
        kind = stream.response.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind == "text/event-stream":
            for event in stream:
                yield event.to_dict(warnings=False)
            return
        text = stream.response.read().decode("utf-8", "replace")
        if kind != "application/json":
            raise Transient(
                f"{self.name}: the server sent {plain(hidden(kind), 40) or 'nothing'}, not a stream: {gist(text)}"
            )
        body = json.loads(text)
        if body.get("error"):
            raise_for_kind(body, self.name)
        yield from self._dialect.whole(body)


def _cause(error: BaseException) -> str:
    """Why a connection failed, from the innermost reason."""
    inner = error.__cause__ or error
    return plain(hidden(f"{type(inner).__name__}: {inner}".rstrip(": ")), 200)
