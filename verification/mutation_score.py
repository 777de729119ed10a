"""How good a block's bench is: the share of planted faults it finds, and the recorded score that verdicts show.

A score holds for the bench it was measured with: the table keeps a digest of the bench's modules and the contract, and
serves only the same.
"""

from __future__ import annotations

import ast
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import verification.benches
from hwlib import contracts
from hwlib.design import Design
from hwlib.files import write_whole
from verification import cache
from verification.judgement import QUICK_TRANSACTIONS, TRANSACTIONS
from verification.mutant_equivalence import equivalent, evident
from verification.mutate import Mutation, plant, run_bench
from verification.simulate import bench

TABLE = Path(__file__).with_name("mutation_scores.json")
_PACKAGE = "verification.benches"
_ALWAYS = ("driver", "exchange", "scenario")

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Survivor:
    """A fault the quick bench does not find. fate: `equivalent` (proved), `full` (the full bench finds it), `open`."""

    fault: str
    fate: str


@dataclass(frozen=True)
class Score:
    """What became of the faults of one block: `killed` on the quick budget, the others by fate."""

    block: str
    bench: str
    point: dict[str, int]
    mutants: int
    seed: int
    killed: int
    survivors: tuple[Survivor, ...]
    seconds: float

    @property
    def equivalent(self) -> int:
        return sum(survivor.fate == "equivalent" for survivor in self.survivors)

    @property
    def full(self) -> int:
        """Faults that the full bench finds, those of the quick one included."""
        return self.killed + sum(survivor.fate == "full" for survivor in self.survivors)

    @property
    def quick_share(self) -> float:
        """Of the faults not proved equivalent, the share found on the quick budget."""
        return self.killed / max(1, self.mutants - self.equivalent)

    @property
    def full_share(self) -> float:
        """The same after the full bench."""
        return self.full / max(1, self.mutants - self.equivalent)

    def to_data(self) -> dict[str, Any]:
        """Plain data for JSON, shares included."""
        shares = {"equivalent": self.equivalent, "quick_share": self.quick_share, "full_share": self.full_share}
        return asdict(self) | shares


def measure(
    design: Design, block: str, count: int, seed: int = 1, prove: bool = True, progress: Progress = lambda line: None
) -> Score:
    """Plant `count` faults in `block` at its first bench point and let its bench find them, in Verilator.

    The quick budget first; what it leaves meets the full budget and, with `prove`, the search for a proof of
    equivalence; faults evidently without effect count as equivalent either way. Raises InputError if the
    fault-free netlist does not pass the bench.
    """
    begin = time.monotonic()
    point = dict(contracts.load(block).bench_points[0])
    mutants = plant(design.closure_files(block), block, point, count, seed)
    numbers = [mutation.number for mutation in mutants.mutations]
    scenarios = {wanted: bench(block)(point, seed, wanted) for wanted in (QUICK_TRANSACTIONS, TRANSACTIONS)}
    quick = run_bench(mutants, scenarios[QUICK_TRANSACTIONS], "verilator", numbers, seed)
    left = [number for number in numbers if number not in quick]
    progress(f"{block}: {len(quick)} of {len(numbers)} killed on the quick budget")
    full = run_bench(mutants, scenarios[TRANSACTIONS], "verilator", left, seed) if left else {}

    same = evident(mutants)

    def fate(mutation: Mutation) -> str:
        if mutation.number in full:
            return "full"
        proved = mutation.number in same or (prove and equivalent(mutants, mutation))
        progress(f"{block}: {mutation}: {'equivalent' if proved else 'open'}")
        return "equivalent" if proved else "open"

    survivors = tuple(Survivor(str(m), fate(m)) for m in mutants.mutations if m.number in left)
    seconds = time.monotonic() - begin
    return Score(block, bench_digest(block), point, len(numbers), seed, len(quick), survivors, seconds)


@lru_cache
def bench_digest(block: str) -> str:
    """Hash of the modules `block`'s bench is made of and of its contract."""
    folder = Path(verification.benches.__file__).parent
    texts: dict[str, str] = {}
    pending = [block, *_ALWAYS]
    while pending:
        name = pending.pop()
        path = folder / f"{name}.py"
        if name not in texts and path.exists():
            texts[name] = path.read_text()
            pending += _imported(texts[name])
    return cache.digest(texts | {"contract": contracts.load(block).model_dump_json()})[:16]


def _imported(text: str) -> Iterator[str]:
    """Names that may be modules of the benches' package."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module == _PACKAGE:
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{_PACKAGE}."):
            yield str(node.module).rpartition(".")[2]


def record(scores: list[Score], table: Path = TABLE) -> None:
    """Write `scores` into the table, over those of the same blocks."""
    kept = json.loads(table.read_text()) if table.exists() else {}
    for score in scores:
        kept[score.block] = {
            "bench": score.bench, "mutants": score.mutants, "seed": score.seed, "killed": score.killed,
            "equivalent": score.equivalent, "full": score.full,
        }  # fmt: skip
    write_whole(table, (json.dumps(dict(sorted(kept.items())), indent=2) + "\n").encode())


def recorded(block: str, table: Path = TABLE) -> float | None:
    """The quick share recorded for `block`'s bench as it is now; None: not measured for this bench."""
    kept = json.loads(table.read_text()) if table.exists() else {}
    row: dict[str, Any] | None = kept.get(block)
    if row is None or row["bench"] != bench_digest(block):
        return None
    return float(row["killed"] / max(1, row["mutants"] - row["equivalent"]))
