"""Ask a role and get a validated answer, with one repair round."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from agents.designers import Unanswered
from agents.models import Message, Model, Reply, Request
from agents.roles import bounds
from hwlib.errors import plain

A = TypeVar("A", bound=BaseModel)
R = TypeVar("R")
_FENCE = re.compile(r"^```[a-z]*\n(.*)\n```$", re.DOTALL)
_COMPLAINT = 400
COMPLAINT = "That answer cannot be used: "
"""How the message begins that asks again after an unusable answer."""


class DoesNotFit(Unanswered):
    """The prompt does not fit the model's context window."""


@dataclass(frozen=True)
class Said(Generic[R]):
    """What was made of an answer, and the conversation up to it."""

    value: R
    messages: tuple[Message, ...]


def ask(model: Model, request: Request, answer: type[A], accept: Callable[[A], R]) -> Said[R]:
    """What `accept` makes of the role's answer to `request`.

    `accept` raises ValueError for an answer that fits the schema but cannot be used; then, as for one that does not
    fit, was cut short or is empty, the model is told and asked once more. Raises Unanswered if that fails too, or at
    a refusal; DoesNotFit if the prompt is too long for the model.
    """
    reply = model.ask(request)
    try:
        return _said(request, reply, _use(reply, answer, accept))
    except ValueError as error:
        why = plain(str(error), _COMPLAINT)
        complaint = f"{COMPLAINT}{why}\nAnswer again, whole, as JSON that fits the schema."
    again = replace(request, messages=_with(request, reply.text, Message("user", complaint)))
    try:
        second = model.ask(again)
        return _said(again, second, _use(second, answer, accept))
    except ValueError as error:
        why = plain(str(error), _COMPLAINT)
        raise Unanswered(f"{request.purpose}: {model.name} gave no usable answer: {why}") from None


def _with(request: Request, text: str, complaint: Message) -> tuple[Message, ...]:
    """The conversation with an unusable answer, as much of it as has room, and what is wrong with it."""
    room = bounds.MOST_BYTES - bounds.size((*request.messages, complaint), request.schema)
    return (*request.messages, Message("assistant", bounds.head(text, max(room, 0)).strip() or "(empty)"), complaint)


def _said(request: Request, reply: Reply, value: R) -> Said[R]:
    return Said(value, (*request.messages, Message("assistant", reply.text)))


def _use(reply: Reply, answer: type[A], accept: Callable[[A], R]) -> R:
    if reply.stop == "refused":
        raise Unanswered(f"{reply.model} refused to answer")
    if reply.stop == "overflow":
        raise DoesNotFit(f"the prompt does not fit the context window of {reply.model}")
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
