"""The recorded scores of the benches, and whether they still hold: verdicts show them.

A score holds for the bench and the design it was measured with: a row keeps a digest of both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwlib.design import Design
from hwlib.files import write_whole
from verification.mutation_score import FOUND, Score, bench_digest, source_digest, triage

TABLE = Path(__file__).with_name("mutation_scores.json")


@dataclass(frozen=True)
class Recorded:
    """A row of the table. shares: of the faults neither proved equivalent nor triaged so, those found on the quick
    budget and by all gates; `stale`: what changed since, empty if the score holds."""

    block: str
    quick_share: float
    gates_share: float
    tree_hash: str
    stale: str = ""

    def __str__(self) -> str:
        return f"{self.block} {self.quick_share:.1%}{f' (stale: {self.stale})' if self.stale else ''}"


def record(scores: list[Score], table: Path = TABLE) -> None:
    """Write `scores` into the table, over those of the same blocks."""
    kept = _rows(table)
    for score in scores:
        survivors = {s.fault: "open" if s.fate == "unproved" else s.fate for s in score.survivors}
        kept[score.block] = {
            "bench": score.bench, "tree_hash": score.tree_hash, "source": score.source, "mutants": score.mutants,
            "seed": score.seed, "killed": score.killed, "survivors": survivors,
        }  # fmt: skip
    write_whole(table, (json.dumps(dict(sorted(kept.items())), indent=2) + "\n").encode())


def recorded(block: str, reference: Design, table: Path = TABLE) -> Recorded | None:
    """The score recorded for `block`'s bench, of which `reference` is the design measured; None: never measured."""
    row = _rows(table).get(block)
    if row is None:
        return None
    changed = [what for what, now, then in (
        ("the bench", bench_digest(block), row["bench"]),
        ("the RTL it was graded with", source_digest(reference, block), row["source"]),
    ) if now != then]  # fmt: skip
    stale = f"{' and '.join(changed)} changed since" if changed else ""
    fates = [*row["survivors"].values()]
    found = row["killed"] + sum(fate in FOUND for fate in fates)
    of = max(1, row["mutants"] - fates.count("equivalent") - len(triage(block).keys() & row["survivors"].keys()))
    return Recorded(block, row["killed"] / of, found / of, row["tree_hash"], stale)


def _rows(table: Path) -> dict[str, dict[str, Any]]:
    return dict(json.loads(table.read_text())) if table.exists() else {}
