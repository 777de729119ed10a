"""Language models behind one call: a request in, a reply out; every wrapper (retry, record, meter) is a Model too."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

Stop = Literal["done", "truncated", "refused", "overflow"]
"""overflow: the prompt, or the prompt with its answer, does not fit the model's context window."""


@dataclass(frozen=True)
class Message:
    """One turn; a system message comes first if there is one.

    The first `stable` characters say the same in many requests: a provider may be told to cache up to there.
    """

    role: Literal["system", "user", "assistant"]
    text: str
    stable: int = 0


@dataclass(frozen=True)
class Request:
    """What is asked. `schema` is the JSON schema the answer must fit; `purpose` is the role that asks. The messages do
    not hold the schema: a client sends it once, as its provider takes it.

    `block` and `order` say what it is asked for, if it is for one block.
    """

    purpose: str
    prompt_version: str
    messages: tuple[Message, ...]
    schema: dict[str, Any]
    max_tokens: int = 16_000
    round: int = 0
    block: str = ""
    order: str = ""

    @property
    def tokens(self) -> int:
        """At most so many are sent: the messages, and the schema beside them."""
        return sum(estimated_tokens(text) for text in (*(m.text for m in self.messages), json.dumps(self.schema)))

    def key(self, model: str) -> str:
        """SHA-256 over everything in the request and the model's name."""
        said = json.dumps({"model": model, **asdict(self)}, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(said.encode()).hexdigest()


@dataclass(frozen=True)
class Usage:
    """Tokens of one call. Of `input_tokens`, `cached_tokens` were read from the provider's cache and `written_tokens`
    put there. `estimated`: the provider did not say, or said what cannot be."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    written_tokens: int = 0
    estimated: bool = False

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True)
class Reply:
    """What came back: JSON text (to be validated), how it ended, and what it used."""

    text: str
    stop: Stop
    usage: Usage
    model: str


class Transient(Exception):
    """A failure worth another try; `after_s` is the provider's wish, if it said one."""

    def __init__(self, what: str, after_s: float | None = None) -> None:
        super().__init__(what)
        self.after_s = after_s


class Model(Protocol):
    """A language model, or a wrapper of one."""

    name: str

    def ask(self, request: Request) -> Reply:
        """Answer `request`. Raises Transient, or InputError where another try cannot help (key, model, request)."""


Listener = Callable[[Request, int], None]
"""Told, while an answer streams in, about how many tokens of it have come."""


def unheard(request: Request, tokens: int) -> None:
    """The listener that does nothing."""


def estimated_tokens(text: str) -> int:
    """Tokens of `text`, rather too many than too few: a token of English or Verilog is seldom under three bytes."""
    return -(-len(text.encode("utf-8", "replace")) // 3)
