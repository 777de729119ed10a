"""simulate: every block does what its contract says, bit for bit, on both simulators.

It runs at its contract's bench points, and at the parameters it has in the design. Those may be large: a block of more
than SMALL multipliers (T*T*D) is run at them on Verilator alone, where Icarus would take minutes.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from hwlib import contracts
from verification import coverage
from verification.bench_sources import judges_digest
from verification.benches.scenario import show
from verification.build import BuildFailed
from verification.judgement import Candidate, Context, Finding, GateResult
from verification.simulate import ScenarioResult, Simulator, bench, simulate

NAME = "simulate"
VERSION = 5

SMALL = 32
"""T*T*D up to which Icarus runs a design's own parameters too."""

QUICK = 256
"""T*T*D up to which a quick run takes Icarus, which has less to build; above it Verilator."""

_FAULT = re.compile(r"cycle (?P<cycle>\d+): (?P<interface>\w*): (?P<what>.*)")
Found = tuple[int, Finding]
"""A finding and how far into the run it showed: the nearest come first."""


@dataclass(frozen=True)
class _Job:
    """One block at one point on one simulator."""

    block: str
    point: dict[str, int]
    simulator: Simulator
    transactions: int


def settings(candidate: Candidate, context: Context) -> str:
    """How much is run, where, from which seed, by which benches and golden functions."""
    runs = f"{candidate.points()} {context.simulators} {SMALL} {f'quick {QUICK}' if context.quick else ''}"
    return f"{context.transactions} {context.seed} {runs} {judges_digest(candidate.top)}"


def run(candidate: Candidate, context: Context) -> GateResult:
    """Run the block's bench. A design has nothing beyond its blocks here, and what `top` does `integrate` judges."""
    begin = time.monotonic()
    if candidate.top == "top":
        return GateResult(NAME, candidate.scope, True)
    jobs = [] if candidate.missing() else _jobs(candidate, context)
    with ThreadPoolExecutor(context.jobs) as pool:
        outcomes = list(pool.map(lambda job: _run_job(job, candidate, context), jobs))
    found = sorted((each for founds, _ in outcomes for each in founds), key=itemgetter(0))
    findings = [*candidate.missing(), *(finding for _, finding in found)]
    results = [result for _, each in outcomes for result in each]
    transfers, cycles = sum(r.transfers for r in results), sum(r.cycles for r in results)
    metrics: dict[str, Any] = {"runs": len(results), "transfers": transfers, "cycles": cycles}
    metrics |= (
        {} if context.quick else _covered(candidate.scope, zip(jobs, (each for _, each in outcomes), strict=True))
    )
    return GateResult(
        NAME,
        candidate.scope,
        not findings,
        tuple(findings),
        metrics,
        seconds=time.monotonic() - begin,
    )


def _covered(block: str, runs: Iterable[tuple[_Job, Sequence[ScenarioResult]]]) -> dict[str, Any]:
    """How many of the contract's bins were met, and those that were not: a finding about the bench, not the block."""
    contract, hits = contracts.load(block), Counter[str]()
    for job, results in runs:
        hits += coverage.count(contract, job.point, [r.observed for r in results if r.observed is not None])
    names = coverage.bins(contract)
    missed = [name for name in names if not hits[name]]
    return {"bins": len(names), "bins_met": len(names) - len(missed), "bins_missed": missed}


def _jobs(candidate: Candidate, context: Context) -> list[_Job]:
    """A run for each point and simulator; a simulator's transactions are spread over its points."""
    if context.quick:
        point = candidate.own_point()
        size = point.get("T", 1) ** 2 * point.get("D", 1)
        return [_Job(candidate.scope, point, "icarus" if size <= QUICK else "verilator", context.transactions)]
    jobs = []
    for simulator in context.simulators:
        points = [point for point in candidate.points() if _runs(point, simulator, candidate)]
        each = -(-context.transactions // len(points))
        jobs += [_Job(candidate.scope, point, simulator, each) for point in points]
    return jobs


def _runs(point: dict[str, int], simulator: Simulator, candidate: Candidate) -> bool:
    """Whether `simulator` runs the block at `point`."""
    bench_point = point in contracts.load(candidate.scope).bench_points
    return bench_point or simulator == "verilator" or point.get("T", 1) ** 2 * point.get("D", 1) <= SMALL


def _run_job(job: _Job, candidate: Candidate, context: Context) -> tuple[list[Found], list[ScenarioResult]]:
    wanted = job.transactions
    scenarios = bench(job.block)(job.point, context.seed, wanted)
    try:
        results = simulate(job.block, candidate.files(), job.point, scenarios, job.simulator, context.seed)
    except BuildFailed as error:
        return [(0, Finding(f"{job.simulator}: {error.what}", error.file, error.line, job.block))], []
    promised = sum(scenario.transactions for scenario in scenarios)
    short = [] if promised >= wanted else [_short(job, promised, wanted)]
    return [*short, *(_finding(job, candidate, result) for result in results if not result.passed)], results


def _finding(job: _Job, candidate: Candidate, result: ScenarioResult) -> Found:
    return finding_of(candidate, result, f"{result.name} on {job.simulator} at {_at(job)}: ")


def _short(job: _Job, promised: int, wanted: int) -> Found:
    what = f"the bench compares {promised} transactions at {_at(job)}, {wanted} are asked for"
    return 0, Finding(what, block=job.block)


def finding_of(candidate: Candidate, result: ScenarioResult, where: str) -> Found:
    """What went wrong first in a failed `result`, at the line that declares the port it was seen on.

    `where` (simulator, point and scenario, ending in a colon and a blank) begins the message.
    """
    block, file = candidate.scope, f"{candidate.scope}.v"
    fault = _FAULT.match(result.violations[0]) if result.violations else None
    if fault:
        cycle, line = int(fault["cycle"]), candidate.declared(fault["interface"])
        what = f"{where}{fault['interface']}: {fault['what']}"
        return cycle, Finding(what, file, line, block, _last_input(block, result, cycle), cycle=cycle,
                              interface=fault["interface"])  # fmt: skip
    if result.mismatches:
        m = result.mismatches[0]
        line, what = candidate.declared(m.interface), f"{where}{m.interface} beat {m.index}"
        return max(m.cycle, 0), Finding(what, file, line, block, m.vector, m.expected, m.got, m.cycle,
                                         m.interface)  # fmt: skip
    vector = _last_input(block, result, result.cycles)
    return result.cycles, Finding(f"{where}{result.why}", file, candidate.declared(block), block, vector)


def _last_input(block: str, result: ScenarioResult, cycle: int) -> str:
    """The input beat the block took last, up to `cycle`."""
    if result.observed is None:
        return ""
    inward = [i.name for i in contracts.load(block).interfaces if i.direction == "in"]
    seen = [(s.cycle, n, s) for n in inward for s in result.observed.transfers.get(n, ()) if s.cycle <= cycle]
    if not seen:
        return ""
    _, name, last = max(seen, key=itemgetter(0))
    return f"{name} {show(last.payload)} taken in cycle {last.cycle}"


def _at(job: _Job) -> str:
    return " ".join(f"{name}={value}" for name, value in job.point.items())
