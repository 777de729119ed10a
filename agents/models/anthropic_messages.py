"""Anthropic's Messages API: the answer is the input of a tool the model must use.

Cached are, in the order they are sent: the tool with the system prompt, the first message's stable part, and the
conversation so far, which its next turn begins with.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic

from agents.models import Listener, Message, Request, Stop, unheard
from agents.models.heard import Heard
from agents.models.keys import ANTHROPIC, key_from
from agents.models.provider import Event, Provider
from agents.models.stream import HOSTED, Limits
from agents.models.transport import http_client

TOOL = "answer"
_CACHED = {"cache_control": {"type": "ephemeral"}}
_STOPS: dict[str, Stop] = {
    "max_tokens": "truncated",
    "refusal": "refused",
    "model_context_window_exceeded": "overflow",
}


class AnthropicMessages(Provider):
    """A model served by the Messages API."""

    def __init__(
        self, model: str, base_url: str | None = None, limits: Limits = HOSTED, listener: Listener = unheard
    ) -> None:
        super().__init__(f"anthropic:{model}", _Messages(model, base_url, limits), limits, listener)


class _Messages:
    sdk: Any = anthropic
    variable = ANTHROPIC

    def __init__(self, model: str, base_url: str | None, limits: Limits) -> None:
        self.model = model
        self._client = anthropic.Anthropic(
            api_key=key_from(ANTHROPIC), base_url=base_url, max_retries=0, http_client=http_client(limits.silence_s)
        )

    def open(self, request: Request) -> Any:
        system = "\n\n".join(m.text for m in request.messages if m.role == "system")
        said = [m for m in request.messages if m.role != "system"]
        return self._client.messages.create(  # type: ignore[call-overload]  # plain dicts for typed ones
            model=self.model,
            max_tokens=request.max_tokens,
            system=[{"type": "text", "text": system, **_CACHED}],
            messages=[{"role": m.role, "content": _content(m, last=m is said[-1])} for m in said],
            tools=[{"name": TOOL, "description": "Give the answer.", "input_schema": request.schema}],
            tool_choice={"type": "tool", "name": TOOL},
            stream=True,
        )

    def hear(self, event: Event, heard: Heard) -> None:
        kind = event.get("type")
        if kind == "message_start":
            heard.texts, heard.calls = [], {}
            heard.model = event["message"].get("model") or ""
            self._hear_usage(event["message"].get("usage") or {}, heard)
        elif kind == "content_block_start":
            self._hear_start(event.get("index"), event.get("content_block") or {}, heard)
        elif kind == "content_block_delta":
            delta = event.get("delta") or {}
            heard.text(delta.get("text"))
            heard.call(event.get("index"), delta.get("partial_json"))
        elif kind == "message_delta":
            reason = (event.get("delta") or {}).get("stop_reason")
            heard.stop = _STOPS.get(reason or "", "done")
            heard.ended = heard.ended or bool(reason)
            self._hear_usage(event.get("usage") or {}, heard)

    def _hear_start(self, index: object, block: Event, heard: Heard) -> None:
        heard.text(block.get("text"))
        if block.get("type") == "tool_use" and isinstance(index, int):
            heard.calls[index] = []
            if block.get("input"):
                heard.call(index, json.dumps(block["input"], ensure_ascii=False))

    def _hear_usage(self, used: Event, heard: Heard) -> None:
        """Input counts come with the first event, the output's with the last; input is what no cache held."""
        read, written = used.get("cache_read_input_tokens"), used.get("cache_creation_input_tokens")
        if used.get("input_tokens") is not None:
            heard.usage["input"] = used["input_tokens"] + (read or 0) + (written or 0)
            heard.usage |= {"cached": read, "written": written}
        if used.get("output_tokens") is not None:
            heard.usage["output"] = used["output_tokens"]

    def whole(self, body: Event) -> Iterator[Event]:
        yield {"type": "message_start", "message": body}
        for index, block in enumerate(body["content"]):
            yield {"type": "content_block_start", "index": index, "content_block": block}
        yield {"type": "message_delta", "delta": {"stop_reason": body["stop_reason"]}, "usage": body.get("usage")}


def _content(message: Message, last: bool) -> list[dict[str, Any]]:
    """The message in one block, or two if a first part of it is stable; a mark says: cache up to here."""
    parts = [message.text[: message.stable], message.text[message.stable :]]
    blocks: list[dict[str, Any]] = [{"type": "text", "text": part} for part in parts if part]
    marks = ([blocks[0]] if message.stable else []) + ([blocks[-1]] if last else [])
    for block in marks:
        block.update(_CACHED)
    return blocks
