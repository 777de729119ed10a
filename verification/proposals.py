"""Tests proposed for a block: one of its bench's scenarios with another seed, length, pace or reset, judged as the
bench judges, so that a proposal cannot ask for what the contract does not promise.

One is kept only if a reference without faults passes it and it finds a planted fault that the bench leaves.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from hwlib import contracts
from hwlib.errors import InputError
from hwlib.files import write_whole
from verification import cache, toolchain
from verification.bench_sources import judges_digest
from verification.benches.scenario import Accept, Agent, AxiMemory, Drive, Memory, Scenario, ScenarioFactory
from verification.build import BuildFailed
from verification.gates.simulate import finding_of
from verification.judgement import TRANSACTIONS, Candidate, Finding, GateResult
from verification.mutant_equivalence import evident
from verification.mutate import Mutants, plant, run_bench
from verification.simulate import Simulator, bench, simulate

NAME = "extra"
MUTANTS = 60
"""Faults planted in the reference."""
LONGEST = 1000
"""Transactions of a proposed test at most."""
STALL = 0.6
"""Probability a cycle of bubbles and refusals at most, here and in scenarios whose pace no bench judges."""
SLACK = 4
"""How much longer a scenario may take with the strongest of them."""


@dataclass(frozen=True)
class Proposal:
    """`scenario` of the bench from `seed`, with at least `transactions`; `gap` and `stall` hold where its pace is not
    judged; `reset_after` so many beats of its longest input (0: as the scenario has it)."""

    scenario: str
    seed: int
    transactions: int
    gap: float
    stall: float
    reset_after: int


@dataclass(frozen=True)
class Grade:
    """What became of a proposal: the faults it finds that the bench leaves; `why` it is not kept, in words."""

    found: tuple[str, ...]
    why: str = ""

    @property
    def kept(self) -> bool:
        return not self.why


@lru_cache
def names(block: str) -> tuple[str, ...]:
    """The scenarios of the block's bench."""
    point = contracts.load(block).bench_points[0]
    return tuple(dict.fromkeys(scenario.name for scenario in bench(block)(point, 1, 1)))


def scenario_of(block: str, point: Mapping[str, int], asked: Proposal) -> Scenario:
    """The scenario a proposal describes. InputError names what is out of range."""
    _check(asked)
    count = len(bench(block)(point, asked.seed, 1))
    made = bench(block)(point, asked.seed, asked.transactions * count)
    chosen = next((scenario for scenario in made if scenario.name == asked.scenario), None)
    if chosen is None:
        raise InputError(f"no scenario '{asked.scenario}'", block, f"use one of {', '.join(names(block))}")
    if _loose(chosen):
        agents = tuple(_paced(agent, asked) for agent in chosen.agents)
        chosen = replace(chosen, agents=agents, max_cycles=chosen.max_cycles * SLACK)
    longest = max((a for a in chosen.agents if isinstance(a, Drive)), key=lambda drive: len(drive.beats), default=None)
    if asked.reset_after and longest is not None and asked.reset_after < len(longest.beats):
        chosen = replace(chosen, reset_after=(longest.interface, asked.reset_after))
    return replace(chosen, name=f"proposed {chosen.name}")


def _check(asked: Proposal) -> None:
    limits = (
        ("seed", asked.seed, 0, (1 << 28) - 1),
        ("transactions", asked.transactions, 1, LONGEST),
        ("gap", asked.gap, 0, STALL),
        ("stall", asked.stall, 0, STALL),
        ("reset_after", asked.reset_after, 0, LONGEST),
    )
    for name, value, low, high in limits:
        if not low <= value <= high:
            raise InputError(f"{name} = {value}", "test", f"use {low} to {high}")


def _loose(scenario: Scenario) -> bool:
    """Whether everything that can refuse does so sometimes, not mostly: of no such scenario is the pace judged."""
    refusing = [agent.stall for agent in scenario.agents if isinstance(agent, Accept | Memory | AxiMemory)]
    return bool(refusing) and all(0 < stall <= STALL for stall in refusing)


def _paced(agent: Agent, asked: Proposal) -> Agent:
    if isinstance(agent, Drive):
        return replace(agent, gap=asked.gap)
    return replace(agent, stall=asked.stall) if isinstance(agent, Accept | Memory | AxiMemory) else agent


def grade(
    files: Sequence[Path],
    block: str,
    asked: Proposal,
    factory: ScenarioFactory | None = None,
    count: int = MUTANTS,
    simulator: Simulator = "verilator",
) -> Grade:
    """Try the proposal on `files`, a reference of `block` that passes its bench, and on faults planted in it.

    `factory` is the bench it is to better, by default the block's. Raises InputError for a proposal out of range, or a
    reference that does not pass.
    """
    point = dict(contracts.load(block).bench_points[0])
    scenario = scenario_of(block, point, asked)
    mutants = plant(files, block, point, count)
    left = _missed(mutants, factory, simulator) if factory else _left(mutants, simulator)
    try:
        found = run_bench(mutants, [scenario], simulator, left)
    except InputError as error:
        return Grade((), f"a block without faults does not pass it: {error.what}")
    faults = tuple(str(mutants.mutations[number - 1]) for number in sorted(found))
    return Grade(faults, "" if faults else f"it finds none of the {len(left)} faults that the bench leaves")


def _left(mutants: Mutants, simulator: Simulator) -> list[int]:
    """The faults that the block's bench leaves; kept on disk."""
    parts = {
        "mutants": mutants.netlist.read_text(),
        "bench": judges_digest(mutants.block),
        "run": f"{TRANSACTIONS} {simulator}",
        "tools": toolchain.fingerprint(),
    }
    path = cache.entry("bench-leaves", f"{cache.digest(parts)}.json")
    if not path.exists():
        left = _missed(mutants, bench(mutants.block), simulator)
        write_whole(path, json.dumps(left).encode())
    return [int(number) for number in json.loads(path.read_text())]


def _missed(mutants: Mutants, factory: ScenarioFactory, simulator: Simulator) -> list[int]:
    """Faults that the scenarios do not find and that are not evidently without effect."""
    numbers = [mutation.number for mutation in mutants.mutations]
    found = run_bench(mutants, factory(mutants.point, 1, TRANSACTIONS), simulator, numbers)
    same = evident(mutants)
    return [number for number in numbers if number not in found and number not in same]


def run(candidate: Candidate, kept: Sequence[Proposal]) -> GateResult:
    """The kept tests on one block, at the point they were graded at; findings as the gate `simulate` gives them."""
    begin, block = time.monotonic(), candidate.scope
    point = dict(contracts.load(block).bench_points[0])
    scenarios = [scenario_of(block, point, asked) for asked in kept]
    try:
        results = simulate(block, candidate.files(), point, scenarios, "icarus")
    except BuildFailed as error:
        findings = [Finding(error.what, error.file, error.line, block)]
    else:
        findings = [finding_of(candidate, r, f"{r.name}: ")[1] for r in results if not r.passed]
    return GateResult(NAME, block, not findings, tuple(findings), {"runs": len(scenarios)},
                      seconds=time.monotonic() - begin)  # fmt: skip
