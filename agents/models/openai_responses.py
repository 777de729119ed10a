"""OpenAI's Responses API, with the answer's JSON schema enforced by the provider."""

from __future__ import annotations

import openai
from openai.types.responses import Response

from agents.models import Reply, Request, Stop, Transient, Usage
from agents.models.failures import key_from, raise_for

VARIABLE = "OPENAI_API_KEY"


class OpenAIResponses:
    """A model served by the Responses API."""

    def __init__(self, model: str, base_url: str | None = None, timeout_s: float = 600) -> None:
        self.name = f"openai:{model}"
        self._model = model
        self._client = openai.OpenAI(api_key=key_from(VARIABLE), base_url=base_url, max_retries=0, timeout=timeout_s)

    def ask(self, request: Request) -> Reply:
        """One call, no retries."""
        form = {"type": "json_schema", "name": request.purpose, "schema": request.schema, "strict": True}
        try:
            response = self._client.responses.create(  # type: ignore[call-overload]  # plain dicts for typed ones
                model=self._model,
                input=[{"role": m.role, "content": m.text} for m in request.messages],
                text={"format": form},
                max_output_tokens=request.max_tokens,
                store=False,
            )
        except openai.APIConnectionError as error:
            raise Transient(f"{self.name}: {error}") from error
        except openai.APIStatusError as error:
            raise_for(error.status_code, error.message, error.response.headers, self._model, VARIABLE)
            raise
        return Reply(response.output_text, _stop(response), _usage(response), response.model)


def _stop(response: Response) -> Stop:
    if response.status == "incomplete":
        reason = response.incomplete_details.reason if response.incomplete_details else ""
        return "refused" if reason == "content_filter" else "truncated"
    refused = any(part.type == "refusal" for item in response.output if item.type == "message" for part in item.content)
    return "refused" if refused else "done"


def _usage(response: Response) -> Usage:
    used = response.usage
    if used is None:
        return Usage(0, 0)
    return Usage(used.input_tokens, used.output_tokens, used.input_tokens_details.cached_tokens)
