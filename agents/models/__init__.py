"""Language models behind one call: a request in, a reply out; every wrapper (retry, record, meter) is a Model too."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

Stop = Literal["done", "truncated", "refused"]


@dataclass(frozen=True)
class Message:
    """One turn; a system message comes first if there is one."""

    role: Literal["system", "user", "assistant"]
    text: str


@dataclass(frozen=True)
class Request:
    """What is asked. `schema` is the JSON schema the answer must fit; `purpose` is the role that asks."""

    purpose: str
    prompt_version: str
    messages: tuple[Message, ...]
    schema: dict[str, Any]
    max_tokens: int = 16_000
    round: int = 0

    def key(self, model: str) -> str:
        """SHA-256 over everything in the request and the model's name."""
        said = json.dumps({"model": model, **asdict(self)}, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(said.encode()).hexdigest()


@dataclass(frozen=True)
class Usage:
    """Tokens of one call; `cached_tokens` are those of `input_tokens` the provider read from its cache."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0

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
