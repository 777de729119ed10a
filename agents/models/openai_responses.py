"""OpenAI's Responses API, with the answer's JSON schema enforced by the provider."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai

from agents.models import Listener, Request, unheard
from agents.models.failures import raise_for_kind
from agents.models.heard import Heard
from agents.models.keys import OPENAI, key_from
from agents.models.provider import Event, Provider
from agents.models.stream import HOSTED, Limits
from agents.models.transport import http_client

_LAST = ("response.completed", "response.incomplete")
_CACHE_KEY = 64
"""Most characters of the word that keeps requests with one prefix together."""


class OpenAIResponses(Provider):
    """A model served by the Responses API."""

    def __init__(
        self, model: str, base_url: str | None = None, limits: Limits = HOSTED, listener: Listener = unheard
    ) -> None:
        super().__init__(f"openai:{model}", _Responses(model, base_url, limits), limits, listener)


class _Responses:
    sdk: Any = openai
    variable = OPENAI

    def __init__(self, model: str, base_url: str | None, limits: Limits) -> None:
        self.model = model
        self._client = openai.OpenAI(
            api_key=key_from(OPENAI), base_url=base_url, max_retries=0, http_client=http_client(limits.silence_s)
        )

    def open(self, request: Request) -> Any:
        form = {"type": "json_schema", "name": "answer", "schema": request.schema, "strict": True}
        return self._client.responses.create(  # type: ignore[call-overload]  # plain dicts for typed ones
            model=self.model,
            input=[{"role": m.role, "content": m.text} for m in request.messages],
            text={"format": form},
            max_output_tokens=request.max_tokens,
            prompt_cache_key=(request.order or request.purpose)[:_CACHE_KEY],
            store=False,
            stream=True,
        )

    def hear(self, event: Event, heard: Heard) -> None:
        kind = event.get("type")
        if kind == "response.output_text.delta":
            heard.text(event.get("delta"))
        elif kind in ("error", "response.failed"):
            raise_for_kind(event.get("response") or event, self.model)
        elif kind in _LAST:
            self._hear_whole(event["response"], heard)

    def _hear_whole(self, response: Event, heard: Heard) -> None:
        """The last event holds the whole answer: it counts, not the pieces, which may have come twice."""
        parts = [part for item in response.get("output") or [] for part in item.get("content") or []]
        calls = [item for item in response.get("output") or [] if item.get("type") == "function_call"]
        heard.texts = [part.get("text") or "" for part in parts if part.get("type") == "output_text"]
        heard.calls = {place: [call.get("arguments") or ""] for place, call in enumerate(calls)}
        heard.bytes = len(heard.texts[0]) if heard.texts else 0
        heard.model, heard.ended = response.get("model") or "", True
        if any(part.get("type") == "refusal" for part in parts):
            heard.stop = "refused"
        if response.get("status") == "incomplete":
            reason = (response.get("incomplete_details") or {}).get("reason")
            heard.stop = "refused" if reason == "content_filter" else "truncated"
        used = response.get("usage")
        if used:
            details = used.get("input_tokens_details") or {}
            heard.usage = {"input": used.get("input_tokens"), "output": used.get("output_tokens"),
                           "cached": details.get("cached_tokens")}  # fmt: skip

    def whole(self, body: Event) -> Iterator[Event]:
        yield {"type": "response.failed" if body["status"] == "failed" else "response.completed", "response": body}
