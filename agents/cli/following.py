"""status --follow: a running campaign, shown live from another terminal."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from agents.progress import plain

if TYPE_CHECKING:
    from agents.records import Budget, Cost
    from agents.watching import Glance

SPENT_S = 10.0
"""A log has a line on what is spent this often, if that changed."""


def follow(name: str, as_json: bool) -> bool:
    """Show what the campaign does until it ends; whether it did, as Ctrl-C ends only the showing."""
    from agents import api

    try:
        with _shown(as_json) as show:
            for glance in api.follow_campaign(name):
                show(glance)
    except KeyboardInterrupt:
        print(f"No longer followed; campaign '{name}' goes on.", file=sys.stderr)
        return False
    return True


def spent_line(spent: Cost, budget: Budget) -> str:
    """What is spent, and of how much where there is a limit."""
    parts = (
        (f"{spent.evaluations}", budget.evaluations, "evaluations"),
        (f"{spent.wall_s:.0f}", budget.wall_s and f"{budget.wall_s:.0f}", "s"),
        (f"{spent.tokens}", budget.tokens, "tokens"),
        (f"{spent.money_usd:.2f}", budget.money_usd and f"{budget.money_usd:.2f}", "USD"),
    )
    return ", ".join(f"{used} of {most} {unit}" if most else f"{used} {unit}" for used, most, unit in parts)


def left(spent: Cost, budget: Budget) -> dict[str, float | None]:
    """What is left of each limit, not less than 0; None where there is none."""
    limits = asdict(spent).keys()
    most = {name: getattr(budget, name) for name in limits}
    return {name: None if most[name] is None else max(0, most[name] - getattr(spent, name)) for name in limits}


@contextmanager
def _shown(as_json: bool) -> Iterator[Callable[[Glance], None]]:
    if as_json:
        yield _json_lines
    elif sys.stdout.isatty():
        with _board() as show:
            yield show
    else:
        yield _Lines().show


def _json_lines(glance: Glance) -> None:
    """An object a line: each event, with what is spent and left."""
    for event in glance.events:
        said: dict[str, Any] = {"event": asdict(event), "spent": asdict(glance.spent)}
        print(json.dumps(said | {"left": left(glance.spent, glance.budget)}), flush=True)


@contextmanager
def _board() -> Iterator[Callable[[Glance], None]]:
    from rich.live import Live

    from agents.cli.live import Board
    from agents.cli.output import console

    board = Board()

    def show(glance: Glance) -> None:
        for event in glance.events:
            board.take(event)
        board.spent = spent_line(glance.spent, glance.budget)

    with Live(board, console=console(), refresh_per_second=4, transient=True):
        yield show


class _Lines:
    """A line an event, and now and then one on what is spent."""

    def __init__(self) -> None:
        self._tell, self._said, self._when = plain(sys.stdout), "", 0.0

    def show(self, glance: Glance) -> None:
        """Print what is new."""
        for event in glance.events:
            self._tell(event)
        line = spent_line(glance.spent, glance.budget)
        if line != self._said and time.monotonic() - self._when >= SPENT_S:
            self._said, self._when = line, time.monotonic()
            print(f"spent {line}", flush=True)
