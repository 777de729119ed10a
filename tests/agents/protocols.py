"""How each provider's protocol says an answer: as a stream's events, and whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agents.models import Listener, Model, unheard
from agents.models.anthropic_messages import AnthropicMessages
from agents.models.openai_chat import OpenAIChat
from agents.models.openai_responses import OpenAIResponses
from agents.models.stream import Limits

Events = list[tuple[str, Any]]
USED = (12, 5)
PATIENT = Limits(10.0, 30.0)


@dataclass(frozen=True)
class Protocol:
    """`events(text, stop, usage)`: stop is done, truncated, refused or filtered; usage (input, output) or None."""

    name: str
    events: Callable[..., Events]
    whole: Callable[[str], dict[str, Any]]
    client: Callable[[str, Limits, Listener], Model]

    def make(self, url: str, limits: Limits = PATIENT, listener: Listener = unheard) -> Model:
        """A client of the server at `url`."""
        return self.client(url, limits, listener)


def _halves(text: str) -> list[str]:
    return [part for part in (text[: len(text) // 2], text[len(text) // 2 :]) if part]


def chat_events(text: str | None, stop: str = "done", usage: tuple[int, int] | None = USED, **delta: Any) -> Events:
    """Chat completion chunks; `delta` goes into the first."""
    reason = {"truncated": "length", "filtered": "content_filter"}.get(stop, "stop")
    if stop == "refused":
        delta, text = {"refusal": "I will not"}, None

    def chunk(delta: dict[str, Any], reason: str | None = None) -> tuple[str, Any]:
        return "", {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m-1",
                    "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}  # fmt: skip

    first = [chunk({"role": "assistant", **delta})]
    said = [chunk({"content": part}) for part in _halves(text or "")]
    last = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m-1", "choices": []}
    if usage:
        last["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
    return [*first, *said, chunk({}, reason), ("", last), ("", "[DONE]")]


def chat_whole(text: str) -> dict[str, Any]:
    """A chat completion."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": USED[0], "completion_tokens": USED[1], "total_tokens": sum(USED)}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m-1", "choices": [choice], "usage": usage}


def responses_whole(
    text: str | None, stop: str = "done", usage: tuple[int, int] | None = USED, output: list[Any] | None = None
) -> dict[str, Any]:
    """A response; `output` in place of one message."""
    part: dict[str, Any] = {"type": "output_text", "text": text, "annotations": []}
    if stop == "refused":
        part = {"type": "refusal", "refusal": "I will not"}
    items = [{"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [part]}]
    found = {"id": "r", "object": "response", "created_at": 1, "model": "m-1", "status": "completed",
             "output": items if output is None else output, "parallel_tool_calls": False, "tool_choice": "auto",
             "tools": []}  # fmt: skip
    reason = {"truncated": "max_output_tokens", "filtered": "content_filter"}.get(stop)
    if reason:
        found |= {"status": "incomplete", "incomplete_details": {"reason": reason}}
    if usage:
        found["usage"] = {"input_tokens": usage[0], "output_tokens": usage[1], "total_tokens": sum(usage),
                          "input_tokens_details": {"cached_tokens": 0},
                          "output_tokens_details": {"reasoning_tokens": 0}}  # fmt: skip
    return found


def responses_events(text: str | None, stop: str = "done", usage: tuple[int, int] | None = USED, **more: Any) -> Events:
    """A response's events, numbered."""
    whole = responses_whole(text, stop, usage, **more)
    begun = whole | {"status": "in_progress", "output": []}
    kinds: list[tuple[str, dict[str, Any]]] = [("response.created", {"response": begun})]
    at = {"item_id": "m", "output_index": 0, "content_index": 0, "logprobs": []}
    kinds += [("response.output_text.delta", {**at, "delta": part}) for part in _halves(text or "")]
    last = "response.incomplete" if whole["status"] == "incomplete" else "response.completed"
    kinds.append((last, {"response": whole}))
    return [(kind, {"type": kind, "sequence_number": n, **data}) for n, (kind, data) in enumerate(kinds)]


def messages_whole(text: str) -> dict[str, Any]:
    """A message with the answer as text."""
    return {"id": "a", "type": "message", "role": "assistant", "model": "m-1", "stop_sequence": None,
            "stop_reason": "end_turn", "content": [{"type": "text", "text": text}],
            "usage": {"input_tokens": USED[0], "output_tokens": USED[1]}}  # fmt: skip


def messages_events(
    text: str | None, stop: str = "done", usage: tuple[int, int] | None = USED, tool: str = "answer"
) -> Events:
    """A message's events, the answer as the input of `tool`."""
    reason = {"truncated": "max_tokens", "refused": "refusal", "filtered": "refusal"}.get(stop, "tool_use")
    begun: dict[str, Any] = messages_whole("") | {"content": [], "stop_reason": None, "usage": {}}
    if usage:
        begun["usage"] = {"input_tokens": usage[0], "output_tokens": 1}
    kinds: list[dict[str, Any]] = [{"type": "message_start", "message": begun}]
    if text is not None:
        block = {"type": "tool_use", "id": "t", "name": tool, "input": {}}
        kinds.append({"type": "content_block_start", "index": 0, "content_block": block})
        kinds += [{"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta",
                                                                        "partial_json": part}}
                  for part in _halves(text)]  # fmt: skip
        kinds.append({"type": "content_block_stop", "index": 0})
    end: dict[str, Any] = {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}}
    end["usage"] = {"output_tokens": usage[1]} if usage else {}
    return [(kind["type"], kind) for kind in [*kinds, end, {"type": "message_stop"}]]


CHAT = Protocol("chat", chat_events, chat_whole,
                lambda url, limits, heard: OpenAIChat("m", url + "/v1", limits, heard))  # fmt: skip
RESPONSES = Protocol("responses", responses_events, responses_whole,
                     lambda url, limits, heard: OpenAIResponses("m", url + "/v1", limits, heard))  # fmt: skip
MESSAGES = Protocol("messages", messages_events, messages_whole,
                    lambda url, limits, heard: AnthropicMessages("m", url, limits, heard))  # fmt: skip
PROTOCOLS = (RESPONSES, CHAT, MESSAGES)
