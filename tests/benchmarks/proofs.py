"""How many properties the `prove` gate settles on the expert's blocks and on every template variant, and in what time.

`python -m tests.benchmarks.proofs [--json]`
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hwlib import contracts, templates
from hwlib.design import EXPERT, Design, read_design
from hwlib.templates.catalog import Choice, defaults, variants
from verification.gates import prove
from verification.judgement import Candidate, Context, GateResult

STATES = ("proved", "bounded", "unknown", "violated")


def candidates(folder: Path) -> Iterator[tuple[str, Candidate]]:
    """Every block of the expert, and every variant of every template with its default options."""
    expert = read_design(EXPERT)
    for block in contracts.names():
        if block == "top":
            continue
        yield "expert", Candidate(expert, block)
        for name in variants(block):
            yield name, Candidate(_rendered(folder / f"{block}.{name}", block, name, expert), block)


def _rendered(folder: Path, block: str, name: str, expert: Design) -> Design:
    return templates.render_design(folder, expert.manifest, defaults() | {block: Choice(name, {})})


def main() -> int:
    """Print the table; 1 if a property of what is known to be right is called violated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        asked = list(candidates(Path(folder)))
        results = list(pool.map(lambda each: prove.run(each[1], Context(jobs=1)), asked))
    rows = [(result.scope, name, result) for (name, _), result in zip(asked, results, strict=True)]
    seconds = time.monotonic() - begin
    if as_json:
        print(json.dumps({"seconds": seconds, "rows": [{"design": name} | r.to_data() for _, name, r in rows]}))
    else:
        _print(rows, seconds)
    return 0 if all(result.passed for result in results) else 1


def _print(rows: list[tuple[str, str, GateResult]], seconds: float) -> None:
    print("| block | design | proved | bounded | unknown | violated | s | bounded or unknown |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    totals = dict.fromkeys(STATES, 0)
    for block, name, result in rows:
        counts = [int(result.metrics.get(state, 0)) for state in STATES]
        totals = {state: totals[state] + count for state, count in zip(STATES, counts, strict=True)}
        open_ones = [f"{p} {s}" for p, s in result.metrics.get("properties", {}).items() if s != "proved"]
        figures = " | ".join(map(str, counts))
        print(f"| {block} | {name} | {figures} | {result.seconds:.1f} | {', '.join(open_ones)} |")
        for finding in result.findings:
            print(finding, file=sys.stderr)
    print(f"| all | | {' | '.join(str(totals[s]) for s in STATES)} | {seconds:.0f} on the clock | |")


if __name__ == "__main__":
    sys.exit(main())
