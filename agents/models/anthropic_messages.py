"""Anthropic's Messages API: the answer is the input of a tool the model must use; the system prompt is cached."""

from __future__ import annotations

import json

import anthropic
from anthropic.types import Message

from agents.models import Reply, Request, Stop, Transient, Usage
from agents.models.failures import key_from, raise_for

VARIABLE = "ANTHROPIC_API_KEY"
TOOL = "answer"
_STOPS: dict[str, Stop] = {
    "max_tokens": "truncated",
    "refusal": "refused",
    "model_context_window_exceeded": "truncated",
}


class AnthropicMessages:
    """A model served by the Messages API."""

    def __init__(self, model: str, base_url: str | None = None, timeout_s: float = 600) -> None:
        self.name = f"anthropic:{model}"
        self._model = model
        self._client = anthropic.Anthropic(
            api_key=key_from(VARIABLE), base_url=base_url, max_retries=0, timeout=timeout_s
        )

    def ask(self, request: Request) -> Reply:
        """One call, no retries."""
        system = "\n\n".join(m.text for m in request.messages if m.role == "system")
        try:
            message = self._client.messages.create(  # type: ignore[call-overload]  # plain dicts for typed ones
                model=self._model,
                max_tokens=request.max_tokens,
                system=[{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}],
                messages=[{"role": m.role, "content": m.text} for m in request.messages if m.role != "system"],
                tools=[{"name": TOOL, "description": "Give the answer.", "input_schema": request.schema}],
                tool_choice={"type": "tool", "name": TOOL},
            )
        except anthropic.APIConnectionError as error:
            raise Transient(f"{self.name}: {error}") from error
        except anthropic.APIStatusError as error:
            raise_for(error.status_code, error.message, error.response.headers, self._model, VARIABLE)
            raise
        return Reply(_text(message), _STOPS.get(message.stop_reason or "", "done"), _usage(message), message.model)


def _text(message: Message) -> str:
    """The tool's input as JSON; plain text if the model wrote that instead."""
    for part in message.content:
        if part.type == "tool_use":
            return json.dumps(part.input, ensure_ascii=False)
    return "".join(part.text for part in message.content if part.type == "text")


def _usage(message: Message) -> Usage:
    used = message.usage
    read, written = used.cache_read_input_tokens or 0, used.cache_creation_input_tokens or 0
    return Usage(used.input_tokens + read + written, used.output_tokens, read)
