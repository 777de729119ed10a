"""Try again after failures that may pass: exponential back-off with jitter, bounded."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from agents.models import Model, Reply, Request, Transient
from hwlib.errors import InputError

TRIES = 6
FIRST_S = 1.0
LONGEST_S = 60.0


class Retrying:
    """`model`, asked up to TRIES times."""

    def __init__(self, model: Model, sleep: Callable[[float], None] = time.sleep) -> None:
        self.name = model.name
        self._model = model
        self._sleep = sleep

    def ask(self, request: Request) -> Reply:
        """The first reply; InputError when every try failed."""
        for number in range(TRIES):
            try:
                return self._model.ask(request)
            except Transient as error:
                last = error
            if number + 1 < TRIES:
                self._sleep(_wait(number, last.after_s))
        raise InputError(f"no answer after {TRIES} tries: {last}", self.name, "try later; the campaign can be resumed")


def _wait(number: int, wish: float | None) -> float:
    """Seconds before the next try: the provider's wish, or 1, 2, 4, ... with up to half as much again."""
    if wish is not None:
        return min(wish, LONGEST_S)
    return min(LONGEST_S, FIRST_S * 2.0**number * random.uniform(1.0, 1.5))
