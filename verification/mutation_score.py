"""How good a block's bench is: the share of planted faults it finds, and what all the gates that try a block find.

Faults that nothing finds are proved without effect where that succeeds; of others `mutation_triage.yaml` says what a
person found, and they count apart: neither as found nor as equivalent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml

from hwlib import contracts
from hwlib.design import Design
from verification import cache
from verification.bench_sources import bench_texts
from verification.gates import prove, sealed
from verification.judgement import QUICK_TRANSACTIONS, TRANSACTIONS
from verification.mutant_equivalence import equivalent, evident
from verification.mutate import Mutants, Mutation, faulty_files, plant, run_bench
from verification.simulate import bench
from verification.yosys import YosysFailed

TRIAGE = Path(__file__).with_name("mutation_triage.yaml")

Fate = Literal["full", "sealed", "prove", "equivalent", "unproved", "open"]
FOUND: tuple[Fate, ...] = ("full", "sealed", "prove")
"""Fates of the faults that a gate finds, though the quick bench does not."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Survivor:
    """A fault the quick bench does not find, and its fate.

    full, sealed, prove: the bench finds it at what the gate `simulate` runs at one point, or at the sealed gate's
    strictness, or a property the prove gate tries. equivalent: proved without effect. unproved: held to be without
    effect a contract speaks of, or beyond what can be run, for `reason`. open: none of these.
    """

    fault: str
    fate: Fate
    reason: str = ""


@dataclass(frozen=True)
class Score:
    """What became of the faults of one block: `killed` on the quick budget, the others by fate.

    tree_hash, source: of the design measured, and of the files of the block in it.
    """

    block: str
    bench: str
    tree_hash: str
    source: str
    point: dict[str, int]
    mutants: int
    seed: int
    killed: int
    survivors: tuple[Survivor, ...]
    seconds: float

    def count(self, *fates: Fate) -> int:
        """Survivors of those fates."""
        return sum(survivor.fate in fates for survivor in self.survivors)

    @property
    def found(self) -> int:
        """Faults that a gate finds, those of the quick bench included."""
        return self.killed + self.count(*FOUND)

    @property
    def quick_share(self) -> float:
        """Of the faults that a test could find, as far as is known, the share found on the quick budget."""
        return self.killed / max(1, self.testable)

    @property
    def gates_share(self) -> float:
        """The same by the full bench, sealed and prove together."""
        return self.found / max(1, self.testable)

    @property
    def testable(self) -> int:
        """Faults neither proved equivalent nor held to be so."""
        return self.mutants - self.count("equivalent", "unproved")

    @property
    def least_shares(self) -> tuple[float, float]:
        """Quick and gates, if every fault that is not proved equivalent were one that a test could find."""
        most = max(1, self.mutants - self.count("equivalent"))
        return self.killed / most, self.found / most

    def to_data(self) -> dict[str, Any]:
        """Plain data for JSON, counts and shares included."""
        counts = {fate: self.count(fate) for fate in ("equivalent", "unproved", "open")}
        least = dict(zip(("quick_share_least", "gates_share_least"), self.least_shares, strict=True))
        shares = {"quick_share": self.quick_share, "gates_share": self.gates_share} | least
        return asdict(self) | counts | {"found": self.found} | shares


def measure(
    design: Design, block: str, count: int, seed: int = 1, proofs: bool = True, progress: Progress = lambda line: None
) -> Score:
    """Plant `count` faults in `block` at its first bench point and let its bench find them, in Verilator.

    The quick budget first; what it leaves meets the point's share of the full budget, scenarios as strict as the sealed
    gate's and, with `proofs`, the prove gate and the search for a proof of equivalence; faults evidently without effect
    count as equivalent either way. Raises InputError if the fault-free netlist does not pass the bench.
    """
    begin = time.monotonic()
    point = dict(contracts.load(block).bench_points[0])
    mutants = plant(design.closure_files(block), block, point, count, seed)
    numbers = [mutation.number for mutation in mutants.mutations]
    quick = run_bench(mutants, bench(block)(point, seed, QUICK_TRANSACTIONS), "verilator", numbers, seed)
    progress(f"{block}: {len(quick)} of {len(numbers)} killed on the quick budget")
    left = [number for number in numbers if number not in quick]
    fates = _fates(mutants, left, seed, proofs)
    reasons = triage(block)
    survivors = []
    for mutation in (m for m in mutants.mutations if m.number in left):
        fate, reason = fates[mutation.number], reasons.get(str(mutation), "")
        fate = "unproved" if fate == "open" and reason else fate
        survivors.append(Survivor(str(mutation), fate, reason if fate == "unproved" else ""))
        progress(f"{block}: {mutation}: {fate}")
    source = source_digest(design, block)
    seconds = time.monotonic() - begin
    return Score(block, bench_digest(block), design.tree_hash, source, point, len(numbers), seed, len(quick),
                 tuple(survivors), seconds)  # fmt: skip


def _fates(mutants: Mutants, left: list[int], seed: int, proofs: bool) -> dict[int, Fate]:
    """What becomes of the faults `left` by the quick bench; `open` where nothing is known."""
    fates: dict[int, Fate] = dict.fromkeys(left, "open")
    fates |= dict.fromkeys(evident(mutants) & fates.keys(), "equivalent")
    budgets: tuple[tuple[Fate, Any], ...] = (
        ("full", bench(mutants.block)(mutants.point, seed, _share(mutants.block))),
        ("sealed", sealed.stimulus(mutants.block, mutants.point, seed)),
    )
    for name, scenarios in budgets:
        asked = [number for number, fate in fates.items() if fate == "open"]
        found = run_bench(mutants, scenarios, "verilator", asked, seed) if asked else {}
        fates |= dict.fromkeys(found, name)
    for mutation in mutants.mutations:
        if proofs and fates.get(mutation.number) == "open":
            fates[mutation.number] = _settled(mutants, mutation)
    return fates


def _share(block: str) -> int:
    """Transactions that the gate `simulate` runs at one point: a design's own may be one more than the bench's."""
    return -(-TRANSACTIONS // (len(contracts.load(block).bench_points) + 1))


def _settled(mutants: Mutants, mutation: Mutation) -> Fate:
    """Whether a proof settles it: that it changes nothing, or, by the prove gate, that it breaks a property."""
    if equivalent(mutants, mutation):
        return "equivalent"
    with cache.scratch_folder("faulty") as work:
        try:
            found = prove.judge(mutants.block, faulty_files(mutants, mutation, work), mutants.point)
        except YosysFailed:
            return "open"
    return "prove" if any(outcome.state == "violated" for _, outcome in found) else "open"


def triage(block: str) -> Mapping[str, str]:
    """By fault of `block`, why nothing finds it, as a person saw it."""
    return {row["fault"]: row["reason"] for row in yaml.safe_load(TRIAGE.read_text()).get(block, [])}


def source_digest(design: Design, block: str) -> str:
    """Hash of `block`'s files in `design`, with all it instantiates."""
    return cache.digest_files(design.closure_files(block))[:16]


@lru_cache
def bench_digest(block: str) -> str:
    """Hash of the modules `block`'s bench is made of and of its contract, bins of coverage apart."""
    promised = contracts.load(block).model_dump_json(exclude={"coverage"})
    return cache.digest(bench_texts(block) | {"contract": promised})[:16]
