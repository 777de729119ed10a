"""Run a campaign in a process of its own and kill -9 it at a random moment."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable

from agents.progress import Event, Progress

Run = Callable[[Progress], None]


def run_and_kill(run: Run, after_events: int, pause_s: float) -> bool:
    """Fork, `run` there, kill the whole process group `pause_s` after its nth event. True if it was killed in time."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.close(reader)

        def told(event: Event) -> None:
            os.write(writer, b".")

        try:
            run(told)
        finally:
            os._exit(0)
    os.close(writer)
    seen = 0
    while seen < after_events and (got := os.read(reader, 1)):
        seen += len(got)
    time.sleep(pause_s)
    os.kill(child, signal.SIGKILL)
    os.close(reader)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def moments(seed: int, count: int, most_events: int) -> list[tuple[int, float]]:
    """`count` random (events, pause in s)."""
    dice = random.Random(seed)
    return [(dice.randint(1, most_events), dice.uniform(0, 0.03)) for _ in range(count)]
