"""From the word given to --model to a client."""

from __future__ import annotations

from agents.models import Model
from agents.models.anthropic_messages import AnthropicMessages
from agents.models.openai_chat import OpenAIChat
from agents.models.openai_responses import OpenAIResponses
from hwlib.errors import InputError

FORMS = "openai:MODEL, anthropic:MODEL or chat:MODEL@http://HOST:PORT/v1"


def client(word: str) -> Model:
    """The client `word` names; InputError if it names none or its key is missing."""
    provider, _, rest = word.partition(":")
    model, _, url = rest.partition("@")
    if not model or provider not in ("openai", "anthropic", "chat"):
        raise InputError(
            f"'{word}' names no model" if word else "the llm designer needs a model", "--model", f"use {FORMS}"
        )
    if provider == "chat":
        if not url:
            raise InputError(
                "a chat model needs its server's address", "--model", f"write chat:{model}@http://HOST:PORT/v1"
            )
        return OpenAIChat(model, url)
    return (OpenAIResponses if provider == "openai" else AnthropicMessages)(model, url or None)
