"""100 campaigns of the LLM designer under replay, each killed (kill -9) at a random moment and resumed.

Bars: every one ends with the revisions, states, figures, accepted tree and booked costs of the campaign that nothing
interrupted, and asked the model nothing whose answer was on disk. A call in flight when the process dies is paid for
and lost whatever one does: those are counted. The judge and the template library are stand-ins; graph, checkpoints,
ledger, record, revisions and locks are the real ones.

`python -m tests.benchmarks.kills [--runs N] [--json]`
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.agents.kills import killed, unbroken
from tests.benchmarks.bars import Bar, as_json, as_table, at_most, figure

MACHINE = "stand-ins"


def measure(runs: int) -> list[Bar]:
    """One unbroken campaign, then `runs` that are killed once each; moments that hit after the end are drawn again."""
    differing = again = lost = done = seed = 0
    with tempfile.TemporaryDirectory() as folder:
        fate, model = unbroken(Path(folder) / "unbroken")
        while done < runs:
            seed += 1
            found, hits = killed(Path(folder) / str(seed), model, seed)
            if hits:
                done, differing = done + 1, differing + (not found.same(fate))
                again, lost = again + found.again, lost + found.in_flight
                print(f"\r{done} of {runs}", end="", file=sys.stderr, flush=True)
    return [
        figure(MACHINE, "model calls of a campaign", len(fate.asked)),
        figure(MACHINE, "campaigns killed", done),
        at_most(MACHINE, "ended otherwise than the unbroken one", differing, 0),
        at_most(MACHINE, "calls asked whose answer was on disk", again, 0),
        figure(MACHINE, "calls in flight when killed, asked again", lost),
    ]


def main() -> int:
    """0 if every bar holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.kills", description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    bars = measure(arguments.runs)
    print((as_json if arguments.json else as_table)("kills", "", bars))
    return 0 if all(bar.holds for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
