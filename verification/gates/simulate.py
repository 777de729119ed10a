"""simulate: every block does what its contract says, bit for bit, at every bench point, on both simulators."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import hwlib
import verification.benches
from hwlib import contracts
from verification import cache
from verification.build import BuildFailed
from verification.gates.judgement import Candidate, Context, Finding, GateResult
from verification.simulate import ScenarioResult, Simulator, bench, simulate

NAME = "simulate"
VERSION = 1


@dataclass(frozen=True)
class _Job:
    """One block at one point on one simulator."""

    block: str
    point: dict[str, int]
    simulator: Simulator


def settings(candidate: Candidate, context: Context) -> str:
    """How much is run, from which seed, by which benches and golden functions."""
    return f"{context.transactions} {context.seed} {context.simulators} {_bench_digest()}"


@lru_cache
def _bench_digest() -> str:
    folders = (Path(verification.benches.__file__).parent, Path(hwlib.__file__).parent)
    texts = {str(p): p.read_text() for folder in folders for p in folder.rglob("*.py") if "templates" not in p.parts}
    contract_texts = {name: contracts.load(name).model_dump_json() for name in contracts.names()}
    return cache.digest({Path(name).name + name[-60:]: text for name, text in texts.items()} | contract_texts)


def run(candidate: Candidate, context: Context) -> GateResult:
    """Run the block's bench; a design has nothing beyond its blocks here."""
    begin = time.monotonic()
    if candidate.whole:
        return GateResult(NAME, candidate.scope, True)
    points = candidate.points()
    jobs = [_Job(candidate.scope, point, simulator) for point in points for simulator in context.simulators]
    with ThreadPoolExecutor(context.jobs) as pool:
        outcomes = list(pool.map(lambda job: _run_job(job, candidate, context), jobs))
    findings = [finding for found, _ in outcomes for finding in found]
    results = [result for _, each in outcomes for result in each]
    metrics = {"runs": len(results), "transfers": sum(r.transfers for r in results), "cycles": sum(r.cycles for r in results)}
    return GateResult(
        NAME, candidate.scope, not findings, tuple(findings), metrics,
        replay=_replay(candidate, context), seconds=time.monotonic() - begin,
    )  # fmt: skip


def _run_job(job: _Job, candidate: Candidate, context: Context) -> tuple[list[Finding], list[ScenarioResult]]:
    scenarios = bench(job.block)(job.point, context.seed, context.transactions)
    try:
        results = simulate(job.block, candidate.files(), job.point, scenarios, job.simulator, context.seed)
    except BuildFailed as error:
        return [Finding(f"{job.simulator}: {error.what}", error.file, error.line, job.block)], []
    promised = sum(scenario.transactions for scenario in scenarios)
    short = [] if promised >= context.transactions else [_short(job, promised, context.transactions)]
    return [*short, *_findings(job, results)], results


def _short(job: _Job, promised: int, wanted: int) -> Finding:
    return Finding(f"the bench compares {promised} transactions at {_at(job)}, {wanted} are asked for", block=job.block)


def _findings(job: _Job, results: list[ScenarioResult]) -> Iterator[Finding]:
    for result in results:
        if not result.passed:
            where = f"{result.name} on {job.simulator} at {_at(job)}"
            if result.mismatches and not result.violations:
                m = result.mismatches[0]
                message = f"{where}: {m.interface} beat {m.index}"
                yield Finding(message, f"{job.block}.v", 0, job.block, m.vector, m.expected, m.got, m.cycle)
            else:
                yield Finding(f"{where}: {result.why}", f"{job.block}.v", 0, job.block)


def _at(job: _Job) -> str:
    return " ".join(f"{name}={value}" for name, value in job.point.items())


def _replay(candidate: Candidate, context: Context) -> str:
    words = ["python", "-m", "verification.simulate", str(candidate.design.folder), candidate.scope]
    return " ".join([*words, "--transactions", str(context.transactions), "--seed", str(context.seed)])
