"""Try again after failures that may pass: exponential back-off with full jitter, bounded in tries and in time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from agents.models import Model, Reply, Request, Transient
from agents.models.stream import pause
from hwlib.errors import InputError

TRIES = 6


@dataclass(frozen=True)
class Pace:
    """Up to `tries` tries. The nth pause is anything up to first_s · 2^n, at most longest_s, or what the provider asks
    for; all pauses together take at most total_s (s)."""

    tries: int = TRIES
    first_s: float = 2.0
    longest_s: float = 60.0
    total_s: float = 600.0


class Retrying:
    """`model`, asked again after a Transient. `dice` gives numbers from 0 to 1."""

    def __init__(
        self,
        model: Model,
        sleep: Callable[[float], None] = pause,
        dice: Callable[[], float] = random.random,
        pace: Pace = Pace(),
    ) -> None:
        self.name = model.name
        self._model, self._sleep, self._dice, self._pace = model, sleep, dice, pace

    def ask(self, request: Request) -> Reply:
        """The first reply; InputError when every try failed, or the provider wants a longer pause than there may be."""
        waited = 0.0
        for number in range(self._pace.tries):
            try:
                return self._model.ask(request)
            except Transient as error:
                last = error
            wait = self._wait(number, last.after_s)
            if number + 1 == self._pace.tries:
                break
            if waited + wait > self._pace.total_s:
                raise self._given_up(number + 1, f"{last}; a pause of {wait:.0f} s is called for")
            self._sleep(wait)
            waited += wait
        raise self._given_up(self._pace.tries, str(last))

    def _given_up(self, tries: int, why: str) -> InputError:
        return InputError(f"no answer after {tries} tries: {why}", self.name, "try later; the campaign can be resumed")

    def _wait(self, number: int, wish: float | None) -> float:
        """Seconds before the next try."""
        longest = min(self._pace.longest_s, self._pace.first_s * 2.0**number)
        return wish if wish else self._dice() * longest
