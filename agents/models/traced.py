"""A span for each call of a provider, with the attributes of OpenTelemetry's conventions for generative AI."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from agents.models import Model, Reply, Request, Stop
from agents.models.team import parts
from agents.traces import Traces, Value

_PROVIDERS = MappingProxyType({"openai": "openai", "anthropic": "anthropic", "chat": "openai_compatible"})
_REASONS: Mapping[Stop, str] = MappingProxyType(
    {"done": "stop", "truncated": "length", "refused": "content_filter", "overflow": "error"}
)


class TracedCalls:
    """`model`, which `word` of --model names, each call of it in a span. Nothing of what is said goes into it."""

    def __init__(self, model: Model, word: str, traces: Traces) -> None:
        self.name = model.name
        self._model, self._traces = model, traces
        provider, self._asked, url = parts(word)
        self._about: dict[str, Value] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": _PROVIDERS[provider],
            "gen_ai.request.model": self._asked,
            "gen_ai.output.type": "json",
        }
        address = urlsplit(url)
        if address.hostname:
            self._about["server.address"] = address.hostname
        if address.port:
            self._about["server.port"] = address.port

    def ask(self, request: Request) -> Reply:
        """The reply of `model`."""
        with self._traces.span(f"chat {self._asked}", self._about | _asked(request), client=True) as note:
            reply = self._model.ask(request)
            note(_answered(reply))
            return reply


def _asked(request: Request) -> dict[str, Value]:
    return {
        "gen_ai.agent.name": request.purpose,
        "gen_ai.request.max_tokens": request.max_tokens,
        "rtloom.prompt.version": request.prompt_version,
        "rtloom.round": request.round,
        **({"rtloom.block": request.block} if request.block else {}),
    }


def _answered(reply: Reply) -> dict[str, Value]:
    used = reply.usage
    return {
        "gen_ai.response.model": reply.model,
        "gen_ai.response.finish_reasons": [_REASONS[reply.stop]],
        "gen_ai.usage.input_tokens": used.input_tokens,
        "gen_ai.usage.output_tokens": used.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": used.cached_tokens,
        "gen_ai.usage.cache_creation.input_tokens": used.written_tokens,
        **({"error.type": "context_overflow"} if reply.stop == "overflow" else {}),
    }
