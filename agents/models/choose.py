"""From a word of --model to a client."""

from __future__ import annotations

from agents.models import Listener, Model, unheard
from agents.models.anthropic_messages import AnthropicMessages
from agents.models.openai_chat import OpenAIChat
from agents.models.openai_responses import OpenAIResponses
from agents.models.team import parts


def client(word: str, listener: Listener = unheard) -> Model:
    """The client `word` names; InputError if it names none or its key is missing."""
    provider, model, url = parts(word)
    if provider == "chat":
        return OpenAIChat(model, url, listener=listener)
    make = OpenAIResponses if provider == "openai" else AnthropicMessages
    return make(model, url or None, listener=listener)
