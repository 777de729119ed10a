"""How long prompts may become."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from agents.models import Message

MOST_BYTES = 70_000
"""Of a request: its messages and schema. Under 24,000 tokens, at three bytes a token or more."""
EDITED = 16_000
"""A block of more bytes is changed by edits: whole files, twice over, would not fit one conversation."""
MOST_FINDINGS = 12
FINDING = 1200
INTENT = 1500
REASON = 300
"""Characters of a finding, an order's intent, a plan's reason or a reviewer's."""
REVISIONS = 16
CONSTRAINTS = 16
"""The newest of them that a planner is shown."""


def size(messages: Sequence[Message], schema: dict[str, Any]) -> int:
    """Bytes of a request."""
    return len(json.dumps(schema)) + sum(len(message.text.encode("utf-8", "replace")) for message in messages)


def fits(messages: Sequence[Message], schema: dict[str, Any]) -> bool:
    """Whether a request may be that long."""
    return size(messages, schema) <= MOST_BYTES


def shortened(findings: Sequence[str]) -> list[str]:
    """The first findings, each cut to its length: the gates name the smallest first."""
    return [text if len(text) <= FINDING else text[: FINDING - 1] + "…" for text in findings[:MOST_FINDINGS]]


def head(text: str, most: int) -> str:
    """The first `most` bytes of `text`, or of what came whole of its last character."""
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")
