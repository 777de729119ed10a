"""Live progress: what a campaign is doing, as events; how they are shown is the listener's business."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TextIO

Kind = Literal["start", "done", "fail", "note", "stream"]
"""stream: an answer of a language model comes in; there are many."""


@dataclass(frozen=True)
class Event:
    """One step. `node` is the graph's node; block and gate are empty where they do not apply.

    `best` is the best objective so far (None before the first measured design).
    """

    kind: Kind
    node: str
    round: int = 0
    block: str = ""
    gate: str = ""
    text: str = ""
    best: float | None = None
    seconds: float = 0.0


Progress = Callable[[Event], None]
STREAM_S = 5.0
"""A log has a line on a stream this often."""


def silent(event: Event) -> None:
    """The listener that shows nothing."""


def plain_line(event: Event) -> str:
    """The event as one line of text."""
    where = " ".join(part for part in (event.node, event.block, event.gate) if part)
    best = f"  best {event.best:.4g}" if event.best is not None else ""
    took = f" ({event.seconds:.1f} s)" if event.kind in ("done", "fail") and event.seconds >= 0.1 else ""
    text = f": {event.text}" if event.text else ""
    return f"[round {event.round}] {event.kind:5s} {where}{text}{took}{best}"


def plain(stream: TextIO = sys.stderr) -> Progress:
    """A listener that writes each event as a line, of a stream only now and then; for logs and pipes."""
    quiet: dict[tuple[str, str], float] = {}

    def show(event: Event) -> None:
        if event.kind == "stream":
            now, place = time.monotonic(), (event.node, event.block)
            if now < quiet.setdefault(place, now + STREAM_S):
                return
            quiet[place] = now + STREAM_S
        print(plain_line(event), file=stream, flush=True)

    return show
