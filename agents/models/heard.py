"""What has been heard of an answer so far, and the reply it makes; nothing a provider says is taken on trust."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agents.models import Reply, Request, Stop, Usage, estimated_tokens
from agents.models.keys import hidden

MOST_BYTES = 1_000_000
"""Of an answer's text; what is longer is cut, and counts as cut off."""
MOST_TOKENS = 10_000_000
"""No call uses so many: a provider that says so is wrong."""
_MODEL_NAME = 120


@dataclass
class Heard:
    """Text, and arguments of tool calls by their index, as they stream in. `ended`: the provider said it is whole."""

    texts: list[str] = field(default_factory=list)
    calls: dict[int, list[str]] = field(default_factory=dict)
    stop: Stop = "done"
    ended: bool = False
    model: str = ""
    usage: dict[str, Any] = field(default_factory=dict)
    bytes: int = 0

    @property
    def full(self) -> bool:
        """Whether it is longer than any answer may be."""
        return self.bytes > MOST_BYTES

    @property
    def tokens(self) -> int:
        """About how many tokens have come."""
        return -(-self.bytes // 4)

    def text(self, piece: object) -> None:
        """A piece of text."""
        if isinstance(piece, str):
            self.bytes += len(piece)
            self.texts.append(piece)

    def call(self, index: object, piece: object) -> None:
        """A piece of the arguments of the tool call `index`."""
        if isinstance(piece, str) and isinstance(index, int):
            self.bytes += len(piece)
            self.calls.setdefault(index, []).append(piece)

    def reply(self, request: Request, name: str) -> Reply:
        """The reply: the first tool call's arguments if there is one, else the text."""
        first = "".join(self.calls[min(self.calls)]) if self.calls else ""
        text = clean(first or "".join(self.texts))
        usage = self._usage() or _estimate(request, text)
        return Reply(text[:MOST_BYTES], "truncated" if self.full else self.stop, usage,
                     clean(self.model)[:_MODEL_NAME] or name)  # fmt: skip

    def _usage(self) -> Usage | None:
        """What the provider says was used; None if it says nothing, or nothing possible."""
        said = [self.usage.get(part, 0) for part in ("input", "output", "cached", "written")]
        counts = [count or 0 for count in said]
        if not self.usage or any(type(count) is not int or not 0 <= count <= MOST_TOKENS for count in counts):
            return None
        total, output, cached, written = counts
        if not total or cached + written > total:
            return None
        return Usage(total, output, cached, written)


def clean(text: str) -> str:
    """`text` without keys, and without halves of surrogate pairs, which no file can hold."""
    return hidden(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def _estimate(request: Request, text: str) -> Usage:
    return Usage(request.tokens, estimated_tokens(text), estimated=True)
