"""Live progress on stderr: a board of blocks and gates on a terminal, one line an event in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.live import Live
from rich.table import Table
from rich.text import Text

from agents.cli.output import console
from agents.progress import Event, Progress, plain

_MARKS = {"start": ("…", "yellow"), "done": ("✓", "green"), "fail": ("✗", "red"), "note": ("·", "dim")}
_RECENT = 4


class Board:
    """What a campaign is doing, by block (or "design") and by gate; updated by events from any thread."""

    def __init__(self) -> None:
        self._cells: dict[str, dict[str, Text]] = {}
        self._recent: list[str] = []
        self._headline = Text("starting")
        self.spent = ""
        """What is spent, of how much; a line of its own where it is known."""
        self._begin = time.monotonic()

    def take(self, event: Event) -> None:
        """Record one event."""
        if event.node == "plan" and event.kind in ("start", "done"):
            self._cells.clear()
        if event.kind == "stream":
            self._cells.setdefault(event.block, {})[event.node] = Text(event.text, style="yellow")
            return
        mark, style = _MARKS[event.kind]
        if event.block:
            self._cells.setdefault(event.block, {})[event.gate or event.node] = Text(mark, style=style)
        if event.text:
            where = " ".join(part for part in (event.block, event.gate or event.node) if part)
            self._recent = [*self._recent, f"{where}: {event.text}"][-_RECENT:]
        best = "none yet" if event.best is None else f"{event.best:.4g}"
        self._headline = Text(f"round {event.round}  {event.node}  best objective {best}", style="bold")

    def __rich__(self) -> Table:
        grid = Table.grid()
        grid.add_row(Text.assemble(self._headline, f"  {time.monotonic() - self._begin:.0f} s"))
        if self.spent:
            grid.add_row(Text(f"spent {self.spent}"))
        grid.add_row(self._blocks())
        for line in self._recent:
            grid.add_row(Text(line, style="dim", overflow="ellipsis", no_wrap=True))
        return grid

    def _blocks(self) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        cells = {block: dict(row) for block, row in self._cells.items()}
        gates = list(dict.fromkeys(gate for row in cells.values() for gate in row))
        for name in ("", *gates):
            table.add_column(name)
        for block, row in cells.items():
            table.add_row(block, *(row.get(gate, Text()) for gate in gates))
        return table


@contextmanager
def live_progress() -> Iterator[Progress]:
    """A listener for a campaign's events."""
    if not sys.stderr.isatty():
        yield plain(sys.stderr)
        return
    board = Board()
    with Live(board, console=console(stderr=True), refresh_per_second=4, transient=True):
        yield board.take
