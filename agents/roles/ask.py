"""Ask a role and get a validated answer, with one repair round."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from agents.designers import Unanswered
from agents.models import Message, Model, Reply, Request
from agents.roles import prompts

A = TypeVar("A", bound=BaseModel)
R = TypeVar("R")
_FENCE = re.compile(r"^```[a-z]*\n(.*)\n```$", re.DOTALL)


def ask(
    model: Model,
    role: str,
    answer: type[A],
    accept: Callable[[A], R],
    *,
    round_: int,
    after: tuple[Message, ...] = (),
    **values: object,
) -> R:
    """What `accept` makes of the role's answer. `after` is what was said since the prompt that `values` render.

    `accept` raises ValueError for an answer that fits the schema but cannot be used; then, as for one that does not
    fit, was cut short or is empty, the model is told and asked once more. Raises Unanswered if that fails too, or at
    a refusal.
    """
    messages = (*prompts.render(role, **values), *after)
    request = Request(role, prompts.version(role), messages, prompts.schema(role), round=round_)
    reply = model.ask(request)
    try:
        return _use(reply, answer, accept)
    except ValueError as error:
        complaint = f"That answer cannot be used: {error}\nAnswer again, whole, as JSON that fits the schema."
    said = Message("assistant", reply.text or "(empty)")
    again = (*messages, said, Message("user", complaint))
    try:
        return _use(model.ask(replace(request, messages=again)), answer, accept)
    except ValueError as error:
        raise Unanswered(f"{role}: {model.name} gave no usable answer: {error}") from error


def _use(reply: Reply, answer: type[A], accept: Callable[[A], R]) -> R:
    if reply.stop == "refused":
        raise Unanswered(f"{reply.model} refused to answer")
    if reply.stop == "truncated":
        raise ValueError("it was cut off at the length limit; use edits or smaller files")
    if not reply.text.strip():
        raise ValueError("it was empty")
    fenced = _FENCE.match(reply.text.strip())
    try:
        parsed = answer.model_validate_json(fenced.group(1) if fenced else reply.text)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'JSON'}: {first['msg']}") from error
    return accept(parsed)
