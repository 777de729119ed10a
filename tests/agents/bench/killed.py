"""Runs a suite with the scripted model and kills itself before call N: `python -m tests.agents.bench.killed DIR N`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tests.agents.bench.suites import Scripted
from tests.agents.bench.test_run import judge


def kill_at(last: int) -> Scripted:
    """A model that lets `last` calls through."""

    def before(number: int) -> None:
        if number == last:
            os.kill(os.getpid(), signal.SIGKILL)

    return Scripted(before)


if __name__ == "__main__":
    judge(Path(sys.argv[1]), kill_at(int(sys.argv[2])))
