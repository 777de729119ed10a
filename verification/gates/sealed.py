"""sealed: every block does what its contract says where no designer could look, too.

Parameter points, values, bubbles, refusals and resets come from a seed made when this content is first submitted. The
expectation is computed and compared here, from sampled pins. Of a failure only its class and one example go out.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from hwlib import contracts
from verification import cache, toolchain
from verification import sealed as sealed_room
from verification.bench_sources import judges_digest
from verification.benches.scenario import Scenario
from verification.build import BuildFailed
from verification.gates.simulate import Found, finding_of
from verification.judgement import Candidate, Context, Finding, GateResult
from verification.sealed import secret
from verification.sealed.trials import TRANSACTIONS, Trial, points, smaller, trial_at, trials
from verification.simulate import ScenarioResult, bench, simulate

NAME = "sealed"
VERSION = 1

_PACE = ("at most ", "within ", " cycles", " ahead")
"""What an expectation says that is one of time."""


def settings(candidate: Candidate, context: Context) -> str:
    """Where and how it is tried. The seed goes with the content; the design's own point matters as one not drawn."""
    drawn = "" if candidate.top == "top" else points(candidate.scope, _used(candidate), _seed(candidate))
    return f"{drawn} {judges_digest(candidate.top)} {_room_digest()}"


@lru_cache
def _room_digest() -> str:
    return cache.digest_files(sorted(Path(sealed_room.__file__).parent.glob("*.py")))


def run(candidate: Candidate, context: Context) -> GateResult:
    """Try the block at sealed points; the whole design has nothing beyond its blocks here."""
    begin = time.monotonic()
    if candidate.top == "top":
        return GateResult(NAME, candidate.scope, True)
    toolchain.require("verilator", "g++", "iverilog", "vvp", "cocotb")
    if candidate.missing():
        return GateResult(NAME, candidate.scope, False, candidate.missing())
    drawn = trials(candidate.scope, bench(candidate.scope), _used(candidate), _seed(candidate))
    with ThreadPoolExecutor(context.jobs) as pool:
        outcomes = list(pool.map(lambda trial: _try(candidate, trial), drawn))
    examples = sorted((example for example, _ in outcomes if example), key=lambda example: example[0])
    return GateResult(
        NAME,
        candidate.scope,
        not examples,
        tuple(finding for _, finding in examples[:1]),
        {"points": len(drawn), "transfers": sum(transfers for _, transfers in outcomes)},
        seconds=time.monotonic() - begin,
    )


def _used(candidate: Candidate) -> list[dict[str, int]]:
    return [*contracts.load(candidate.scope).bench_points, candidate.own_point()]


def _seed(candidate: Candidate) -> int:
    return secret.seed_of(candidate.digest())


def stimulus(block: str, point: Mapping[str, int], seed: int) -> tuple[Scenario, ...]:
    """Scenarios as strict as the gate's, at a point and from a seed that are no secret: to grade it with."""
    return trial_at(block, bench(block), point, seed).scenarios


def _try(candidate: Candidate, trial: Trial) -> tuple[Found | None, int]:
    """The smallest example of what is wrong at the trial's point, and how many transfers were seen."""
    try:
        results = _simulate(candidate, trial)
    except BuildFailed as error:
        what = f"does not build at {_at(trial)}: {error.what}"
        return (0, Finding(what, error.file, error.line, candidate.scope)), 0
    transfers = sum(result.transfers for result in results)
    if trial.promised < TRANSACTIONS:
        return (0, Finding(f"the bench compares {trial.promised} transactions", block=candidate.scope)), transfers
    if all(result.passed for result in results):
        return None, transfers
    for less in smaller(bench(candidate.scope), trial):
        failed = [result for result in _simulate(candidate, less) if not result.passed]
        if failed:
            return _example(candidate, trial, failed, ""), transfers
    return _example(candidate, trial, [r for r in results if not r.passed], _only_then(trial, results)), transfers


def _only_then(trial: Trial, results: Sequence[ScenarioResult]) -> str:
    """What the failing scenarios have in common, given that shorter ones without a reset pass."""
    pairs = zip(trial.scenarios, results, strict=True)
    reset = {scenario.reset_after is not None for scenario, result in pairs if not result.passed}
    return " after a reset in mid-flight" if reset == {True} else " in a long run only" if reset == {False} else ""


def _simulate(candidate: Candidate, trial: Trial) -> list[ScenarioResult]:
    block, files = candidate.scope, candidate.files()
    return simulate(block, files, trial.point, trial.scenarios, trial.simulator, trial.seed)


def _example(candidate: Candidate, trial: Trial, failed: Sequence[ScenarioResult], when: str) -> Found:
    """The failure that showed first: its class, the point, and the one transaction."""
    found = [(*finding_of(candidate, result, ""), result) for result in failed]
    cycle, seen, result = min(found, key=lambda each: each[0])
    return cycle, Finding(
        f"{_kind(result)}{when} at {_at(trial)}: {seen.message}",
        seen.file, seen.line, candidate.scope, seen.vector, seen.expected, seen.got, seen.cycle,
        seen.interface,
    )  # fmt: skip


def _kind(result: ScenarioResult) -> str:
    """The class of a failure."""
    if result.observed is None:
        return "the simulation ended early"
    if result.violations:
        return "protocol"
    if not result.mismatches:
        return "hang"
    first = result.mismatches[0]
    if first.got == "nothing":
        return "lost transaction" if result.finished else "hang"
    if first.expected == "nothing":
        return "duplicated transaction"
    return "too slow" if any(word in first.expected for word in _PACE) else "wrong value"


def _at(trial: Trial) -> str:
    return " ".join(f"{name}={value}" for name, value in trial.point.items())
