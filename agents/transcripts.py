"""What a campaign's recorded model calls show: how many, how long, which answers had to be repaired and why."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.roles.ask import COMPLAINT
from agents.roles.writer import NOT_TAKEN, REFUSED

_SAID = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")


@dataclass(frozen=True)
class Role:
    """Calls of one role. repairs: calls that asked again after an unusable answer; longest_tokens: the longest prompt,
    as the provider counted it (or bytes / 3 where it did not)."""

    name: str
    calls: int
    repairs: int
    truncated: int
    refused: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    longest_tokens: int


@dataclass(frozen=True)
class Transcript:
    """All calls of a campaign. causes: why answers were unusable, with names and numbers left out; tools: calls of the
    RTL writer's tools by name; edits: search/replace edits asked for; rejected_edits: answers with one that did not
    apply."""

    roles: tuple[Role, ...]
    causes: dict[str, int]
    tools: dict[str, int]
    edits: int
    rejected_edits: int

    @property
    def calls(self) -> int:
        return sum(role.calls for role in self.roles)

    @property
    def repairs(self) -> int:
        return sum(role.repairs for role in self.roles)


def read(folder: Path) -> Transcript:
    """The transcript of the exchanges in `folder`; a file that is none is left out."""
    found = list(_exchanges(folder))
    complaints = [c for each in found if (c := _complaint(each))]
    answers = [a for each in found if (a := _answer(each))]
    names = sorted({each["request"]["purpose"] for each in found})
    return Transcript(
        roles=tuple(_role(name, [each for each in found if each["request"]["purpose"] == name]) for name in names),
        causes=dict(Counter(_SAID.sub("…", complaint)[:120] for complaint in complaints).most_common()),
        tools=dict(Counter(str(call.get("tool")) for a in answers for call in a.get("calls") or []).most_common()),
        edits=sum(len(a.get("edits") or []) for a in answers),
        rejected_edits=sum(complaint.startswith("edit of ") for complaint in complaints),
    )


def _exchanges(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            found = json.loads(path.read_text())
            _ = found["request"]["messages"][-1]["text"], found["request"]["purpose"], found["reply"]["usage"]
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            continue
        yield found


def _complaint(exchange: dict[str, Any]) -> str:
    """Why the answer before was unusable; empty for a first try."""
    text: str = exchange["request"]["messages"][-1]["text"]
    for start in (COMPLAINT, REFUSED, NOT_TAKEN):
        if text.startswith(start):
            return text.removeprefix(start).partition("\n")[0].strip()
    return ""


def _answer(exchange: dict[str, Any]) -> dict[str, Any]:
    try:
        found = json.loads(exchange["reply"]["text"])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _role(name: str, calls: list[dict[str, Any]]) -> Role:
    used = [call["reply"]["usage"] for call in calls]
    stops = [call["reply"].get("stop") for call in calls]
    prompts = [u["input_tokens"] or _size(call) // 3 for u, call in zip(used, calls, strict=True)]
    return Role(
        name,
        len(calls),
        sum(bool(_complaint(call)) for call in calls),
        stops.count("truncated"),
        stops.count("refused"),
        sum(u["input_tokens"] for u in used),
        sum(u.get("cached_tokens", 0) for u in used),
        sum(u["output_tokens"] for u in used),
        max(prompts, default=0),
    )


def _size(exchange: dict[str, Any]) -> int:
    return sum(len(message["text"].encode()) for message in exchange["request"]["messages"])
