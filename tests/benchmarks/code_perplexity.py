"""A small LLaMA of the standard library's source: its perplexity on held-out modules in float and as int8 integers.

Trains the model first if the cache has none (minutes). Bar: the integer graph, rounded to nearest, loses at most 0.7 %.
What it loses with int4 keys and values is shown.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from mfm.run.store import trained_code
from mfm.tasks.code import perplexity
from tests.benchmarks.bars import as_table, at_most, figure

LOSS = 0.007


def main() -> int:
    """Measure; 0 if the bar holds, 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.code_perplexity", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args().json
    trained = trained_code()
    found, narrow = perplexity(trained), perplexity(trained, cache_bits=4)
    machine = f"{found.parameters:,} parameters"
    bars = [
        figure(machine, "tokens", found.tokens),
        figure(machine, "float perplexity", found.float_perplexity),
        figure(machine, "integer perplexity", found.integer_perplexity),
        at_most(machine, "increase", found.increase, LOSS),
        figure(machine, "integer perplexity, int4 keys and values", narrow.integer_perplexity),
        figure(machine, "increase, int4 keys and values", narrow.increase),
    ]
    print(json.dumps([asdict(bar) for bar in bars]) if as_json else as_table("code_perplexity", "", bars))
    return 0 if all(bar.holds for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
