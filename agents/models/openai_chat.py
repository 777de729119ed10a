"""Chat completions of any OpenAI-compatible server (vLLM, llama.cpp, Ollama, ...) at a base URL."""

from __future__ import annotations

import os

import openai
from openai.types.chat import ChatCompletion

from agents.models import Reply, Request, Stop, Transient, Usage
from agents.models.failures import raise_for

VARIABLE = "RTLOOM_CHAT_API_KEY"
"""Key of the server, if it wants one."""
_STOPS: dict[str, Stop] = {"stop": "done", "length": "truncated", "content_filter": "refused"}


class OpenAIChat:
    """A model of an OpenAI-compatible server. The schema is in the prompt: servers differ in what they enforce."""

    def __init__(self, model: str, base_url: str, timeout_s: float = 600) -> None:
        self.name = f"chat:{model}"
        self._model = model
        key = os.environ.get(VARIABLE) or "none"
        self._client = openai.OpenAI(api_key=key, base_url=base_url, max_retries=0, timeout=timeout_s)

    def ask(self, request: Request) -> Reply:
        """One call, no retries."""
        try:
            completion = self._client.chat.completions.create(
                model=self._model,
                messages=[{"role": m.role, "content": m.text} for m in request.messages],  # type: ignore[misc]
                max_tokens=request.max_tokens,
            )
        except openai.APIConnectionError as error:
            raise Transient(f"{self.name}: {error}") from error
        except openai.APIStatusError as error:
            raise_for(error.status_code, error.message, error.response.headers, self._model, VARIABLE)
            raise
        return self._reply(completion)

    def _reply(self, completion: ChatCompletion) -> Reply:
        if not completion.choices:
            raise Transient(f"{self.name}: the server sent no choice")
        choice, used = completion.choices[0], completion.usage
        usage = Usage(used.prompt_tokens, used.completion_tokens) if used else Usage(0, 0)
        stop = "refused" if choice.message.refusal else _STOPS.get(choice.finish_reason, "done")
        return Reply(choice.message.content or "", stop, usage, completion.model)
