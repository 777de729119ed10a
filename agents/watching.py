"""A campaign's progress on disk, so that other processes can watch it: written by the one that runs it, read by any.

`progress.jsonl` in the campaign's folder has an event a line, and begins anew whenever a process begins to run it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agents.campaign import Campaign
from agents.progress import Event, Progress
from agents.records import Budget, Cost

FILE = "progress.jsonl"
POLL_S = 0.5
_STREAM_S = 1.0
"""Of a stream, an event is kept this often."""
_EVENT = TypeAdapter(Event)


@dataclass(frozen=True)
class Glance:
    """What was new since the last one, and what is spent now; wall time as of the last step that ended.

    `running`: whether a process works on it; if none does, this is the last glance.
    """

    events: tuple[Event, ...]
    spent: Cost
    budget: Budget
    running: bool


@contextmanager
def kept(campaign: Campaign, progress: Progress) -> Iterator[Progress]:
    """`progress`, with every event kept in the campaign's folder before it is told; the caller holds the campaign."""
    draft = campaign.folder / f".{FILE}"
    # A new file under the old name: a reader sees that it is another one. Whole lines: an append is one write.
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    streamed: dict[tuple[str, str], float] = {}

    def keep(event: Event) -> None:
        now, place = time.monotonic(), (event.node, event.block)
        if event.kind != "stream" or now - streamed.get(place, 0.0) >= _STREAM_S:
            streamed[place] = now
            os.write(file, (json.dumps(asdict(event)) + "\n").encode())
        progress(event)

    try:
        draft.rename(campaign.folder / FILE)
        yield keep
    finally:
        os.close(file)


class Reader:
    """The events of one campaign's file, each once; of a file that began anew, from its beginning."""

    def __init__(self, path: Path) -> None:
        self._path, self._file, self._at = path, 0, 0

    def new(self) -> tuple[Event, ...]:
        """The events since the last call; none while there is no file. A line that is not whole yet is left for later,
        one that is no event is passed over."""
        try:
            with self._path.open("rb") as file:
                which = os.fstat(file.fileno()).st_ino
                file.seek(self._at if which == self._file else 0)
                begin = file.tell()
                whole, _, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return ()
        self._file, self._at = which, begin + len(whole) + bool(whole)
        return tuple(event for line in whole.splitlines() if (event := _event(line)))


def _event(line: bytes) -> Event | None:
    try:
        return _EVENT.validate_json(line)
    except ValidationError:
        return None


def glances(campaign: Campaign, poll_s: float = POLL_S) -> Iterator[Glance]:
    """Look at the campaign now and then, until no process works on it. Reads only."""
    reader = Reader(campaign.folder / FILE)
    while True:
        running = campaign.running  # before the events: what is told before the end is not missed
        yield Glance(reader.new(), campaign.ledger.spent(), campaign.settings.budget, running)
        if not running:
            return
        time.sleep(poll_s)
