"""Chat completions of any OpenAI-compatible server (vLLM, llama.cpp, Ollama, ...) at a base URL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai

from agents.models import Listener, Request, Stop, unheard
from agents.models.heard import Heard
from agents.models.keys import CHAT, optional_key
from agents.models.provider import Event, Provider
from agents.models.stream import Limits
from agents.models.transport import http_client

LIMITS = Limits(silence_s=1800.0)
"""A server of one's own may take long over the prompt before its first token."""
_STOPS: dict[str, Stop] = {"length": "truncated", "content_filter": "refused"}


class OpenAIChat(Provider):
    """A model of an OpenAI-compatible server. The schema is told in words: servers differ in what they enforce."""

    def __init__(self, model: str, base_url: str, limits: Limits = LIMITS, listener: Listener = unheard) -> None:
        super().__init__(f"chat:{model}", _Chat(model, base_url, limits), limits, listener)


class _Chat:
    sdk: Any = openai
    variable = CHAT

    def __init__(self, model: str, base_url: str, limits: Limits) -> None:
        self.model = model
        key = optional_key(CHAT) or "none"
        self._client = openai.OpenAI(
            api_key=key, base_url=base_url, max_retries=0, http_client=http_client(limits.silence_s)
        )

    def open(self, request: Request) -> Any:
        return self._client.chat.completions.create(  # type: ignore[call-overload]  # plain dicts for typed ones
            model=self.model,
            messages=_messages(request),
            max_tokens=request.max_tokens,
            stream=True,
            stream_options={"include_usage": True},
        )

    def hear(self, event: Event, heard: Heard) -> None:
        heard.model = event.get("model") or heard.model
        used = event.get("usage")
        if used:
            details = used.get("prompt_tokens_details") or {}
            heard.usage = {"input": used.get("prompt_tokens"), "output": used.get("completion_tokens"),
                           "cached": details.get("cached_tokens")}  # fmt: skip
        for choice in (event.get("choices") or [])[:1]:
            self._hear_choice(choice, heard)

    def _hear_choice(self, choice: Event, heard: Heard) -> None:
        said = choice.get("delta") or {}
        heard.text(said.get("content"))
        for place, call in enumerate(said.get("tool_calls") or []):
            heard.call(call.get("index", place), (call.get("function") or {}).get("arguments"))
        reason = choice.get("finish_reason")
        if said.get("refusal"):
            heard.stop = "refused"
        elif reason and heard.stop == "done":
            heard.stop = _STOPS.get(reason, "done")
        heard.ended = heard.ended or bool(reason)

    def whole(self, body: Event) -> Iterator[Event]:
        if not body.get("choices"):
            raise ValueError("no choice")
        choices = [choice | {"delta": choice.get("message")} for choice in body["choices"]]
        yield body | {"choices": choices}


def _messages(request: Request) -> list[dict[str, str]]:
    """The messages, the schema at the end of the system's: the beginning stays the same in all of a conversation."""
    told = f"The answer's schema:\n{json.dumps(request.schema)}"
    said = [{"role": message.role, "content": message.text} for message in request.messages]
    if said and said[0]["role"] == "system":
        return [said[0] | {"content": f"{said[0]['content'].rstrip()}\n\n{told}"}, *said[1:]]
    return [{"role": "system", "content": told}, *said]
