"""netlist: the synthesised netlist of every block passes the block's bench.

A design could show one face to simulators and another to synthesis; the netlist, with models of the library's cells,
is the face that would be made. Each block is mapped alone at its smallest bench point, around the text of the blocks
inside it (which have netlists of their own) and of the memories. It runs on Icarus: compiling so many cells for
Verilator takes longer than Icarus takes in all.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from operator import itemgetter

from hwlib import contracts
from hwlib.errors import InputError
from hwlib.tech import technology
from verification import cache, timing, toolchain
from verification.bench_sources import judges_digest
from verification.benches.scenario import Scenario
from verification.build import BuildFailed
from verification.cell_models import models
from verification.gates.simulate import Found, finding_of
from verification.gates.synthesise import DEFAULT_TECHNOLOGY
from verification.judgement import Candidate, Context, Finding, GateResult, refusal
from verification.simulate import ScenarioResult, bench, simulate
from verification.synthesize import mapped_block, technology_digest

NAME = "netlist"
VERSION = 2

TRANSACTIONS = 60
"""At least so many are compared, over the scenarios that are run."""
LONGEST = 12_000
"""Cycles a scenario may last at most to be run: gates are slow to simulate."""
SECONDS = 600
"""What the simulation may take."""


def settings(candidate: Candidate, context: Context) -> str:
    """Technology, clock, benches, and how much is run."""
    target = technology_digest(context.technology or technology(DEFAULT_TECHNOLOGY))
    runs = f"{context.seed} {_point(candidate)} {TRANSACTIONS} {LONGEST} {judges_digest(candidate.top)}"
    return f"{target} {context.clock_ns} {runs}"


def run(candidate: Candidate, context: Context) -> GateResult:
    """Map the block and run its bench on the netlist; the whole design has nothing beyond its blocks here."""
    begin = time.monotonic()
    if candidate.top == "top":
        return GateResult(NAME, candidate.scope, True)
    toolchain.require("yosys", "iverilog", "vvp", "cocotb")
    findings, metrics = candidate.missing(), {"cells": 0, "transfers": 0, "cycles": 0}
    if not findings:
        try:
            findings, metrics = _judge(candidate, context)
        except timing.LibertyFailed:
            raise
        except InputError as error:
            findings = (refusal(error, candidate.scope),)
    return GateResult(
        NAME, candidate.scope, not findings, findings, dict(metrics), seconds=time.monotonic() - begin
    )  # fmt: skip


def _judge(candidate: Candidate, context: Context) -> tuple[tuple[Finding, ...], dict[str, int]]:
    block, point = candidate.scope, _point(candidate)
    target = context.technology or technology(DEFAULT_TECHNOLOGY)
    clock_ns = context.clock_ns or candidate.design.manifest.clock_ns
    mapped = mapped_block(candidate.files(), block, point, target, clock_ns)
    size = {"cells": sum(mapped.cells.values())}
    unmapped = sorted(cell for cell in mapped.cells if cell.startswith("$"))
    if unmapped:
        return tuple(Finding(f"{cell} cells could not be mapped", block=block) for cell in unmapped), size
    scenarios = _short(bench(block)(point, context.seed, TRANSACTIONS))
    if sum(scenario.transactions for scenario in scenarios) < TRANSACTIONS:
        return (Finding(f"the bench compares fewer than {TRANSACTIONS} transactions", block=block),), size
    text = mapped.netlist + models(target.liberty, mapped.cells)
    try:
        results = _simulate(candidate, text, scenarios, context.seed)
    except BuildFailed as error:
        return (Finding(f"its netlist: {error.what}", block=block),), size
    found = [_finding(candidate, result) for result in results if not result.passed]
    transfers, cycles = sum(r.transfers for r in results), sum(r.cycles for r in results)
    return tuple(finding for _, finding in sorted(found, key=itemgetter(0))), size | {
        "transfers": transfers,
        "cycles": cycles,
    }


def _simulate(candidate: Candidate, text: str, scenarios: Sequence[Scenario], seed: int) -> list[ScenarioResult]:
    others = [path for path in candidate.files() if path not in candidate.own_files()]
    with cache.scratch_folder("netlist") as work:
        (work / "netlist.v").write_text(text)
        files = [work / "netlist.v", *others]
        return simulate(candidate.scope, files, _point(candidate), scenarios, "icarus", seed, SECONDS, fixed=True)


def _finding(candidate: Candidate, result: ScenarioResult) -> Found:
    at = " ".join(f"{name}={value}" for name, value in _point(candidate).items())
    return finding_of(candidate, result, f"its netlist in {result.name} at {at}: ")


def _point(candidate: Candidate) -> dict[str, int]:
    """The bench point with the fewest multipliers."""
    return min(contracts.load(candidate.top).bench_points, key=lambda p: p.get("T", 1) ** 2 * p.get("D", 1))


def _short(scenarios: Sequence[Scenario]) -> list[Scenario]:
    return [scenario for scenario in scenarios if scenario.max_cycles <= LONGEST]
