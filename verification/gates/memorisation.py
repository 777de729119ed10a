"""memorisation: answers come from the inputs, not from a table, a copy, or how many came before.

Tables: the constants in a block's own modules, once elaborated, stay within what its contract allows. Copies: no module
of a block is named as, or almost as, another block or platform cell, so that gates judge one and the design uses the
other. Counting: after thousands of transactions without a reset, in an order no other run has, answers are still right.
Fresh values at fresh parameters are `sealed`'s.
"""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from hwlib import contracts
from hwlib.design import platform_files
from hwlib.errors import InputError
from verification import toolchain
from verification.bench_sources import judges_digest
from verification.benches.scenario import Scenario
from verification.build import BuildFailed
from verification.constants import constant_bits
from verification.gates.simulate import finding_of
from verification.judgement import Candidate, Context, Finding, GateResult, refusal
from verification.simulate import bench, simulate

NAME = "memorisation"
VERSION = 1

LONG = 4000
"""Transactions compared since reset (`matrix_unit`: 1700, its outputs fill the memory)."""
FEWEST = 1500
UNROLLED = 64
"""T*T up to which a contract's bound on constants holds as it is."""
SECONDS = 600
_SHORT_NAME = 5
"""Names shorter than this resemble others by chance; they must only not be the same."""


def settings(candidate: Candidate, context: Context) -> str:
    """Points, how much is run, benches and contracts; the order of transactions comes from the content."""
    return f"{_points(candidate)} {LONG} {judges_digest(candidate.top)}"


def run(candidate: Candidate, context: Context) -> GateResult:
    """Judge one block; the whole design has nothing beyond its blocks here."""
    begin = time.monotonic()
    if candidate.top == "top":
        return GateResult(NAME, candidate.scope, True)
    toolchain.require("yosys", "verilator", "g++", "cocotb")
    findings, metrics = [*candidate.missing()], {"constant_bits": 0, "transfers": 0}
    if not findings:
        findings = _copies(candidate)
        with ThreadPoolExecutor(min(context.jobs, 2)) as pool:
            counting = pool.submit(_counting, candidate)
            found, metrics["constant_bits"] = _tables(candidate)
            findings += found
            found, metrics["transfers"] = counting.result()
            findings += found
    return GateResult(
        NAME, candidate.scope, not findings, tuple(findings), dict(metrics), seconds=time.monotonic() - begin
    )  # fmt: skip


def _points(candidate: Candidate) -> list[dict[str, int]]:
    """The bench point with the fewest multipliers, and the design's own."""
    points = contracts.load(candidate.top).bench_points
    small = min(points, key=lambda p: p.get("T", 1) ** 2 * p.get("D", 1))
    return [small] if small == candidate.own_point() else [small, candidate.own_point()]


# ---- tables


def _tables(candidate: Candidate) -> tuple[list[Finding], int]:
    """The constants at every point against the contract's bound; and the most there were."""
    own, most = [path.stem for path in candidate.own_files()], 0
    for point in _points(candidate):
        bound = _bound(candidate.scope, point)
        try:
            bits = constant_bits(candidate.files(), candidate.scope, point, own)
        except InputError as error:
            return [refusal(error, candidate.scope)], most
        total = sum(bits.values())
        most = max(most, total)
        if total > bound:
            worst = max(bits, key=lambda name: bits[name])
            at = " ".join(f"{name}={value}" for name, value in point.items())
            what = f"{bits[worst]} bits of constants in {worst} at {at}: the contract has no such table"
            want, got = f"at most {bound} in the block", str(total)
            return [Finding(what, f"{worst}.v", 1, candidate.scope, expected=want, got=got)], most
    return [], most


def _bound(block: str, point: dict[str, int]) -> int:
    """Bits of constants the block may hold at `point`: the contract's, more where T*T indices are unrolled."""
    return contracts.load(block).constants * max(1, point.get("T", 1) ** 2 // UNROLLED)


# ---- copies


def _copies(candidate: Candidate) -> list[Finding]:
    """Modules whose name behind the block's resembles that of another block or of a platform cell."""
    taken = [*contracts.names(), *(path.stem for path in platform_files())]
    findings = []
    for path in candidate.own_files():
        rest = path.stem.removeprefix(candidate.scope).strip("_")
        like = next((name for name in taken if rest and _resembles(rest, name)), None)
        if like:
            what = f"its name is that of {like}, nearly: instantiate {like}, or name the module for what it does"
            findings.append(Finding(what, path.name, 1, candidate.scope))
    return findings


def _resembles(name: str, other: str) -> bool:
    """Whether the names are the same but for one letter added, left out or exchanged."""
    if name == other or len(other) < _SHORT_NAME or abs(len(name) - len(other)) > 1:
        return name == other
    shared = next((i for i, (a, b) in enumerate(zip(name, other, strict=False)) if a != b), min(len(name), len(other)))
    rests = name[shared:], other[shared:]
    return rests[0][1:] == rests[1][1:] or rests[0][1:] == rests[1] or rests[0] == rests[1][1:]


# ---- counting


def _counting(candidate: Candidate) -> tuple[list[Finding], int]:
    """A long run without a reset; what goes wrong in it only late has been counting."""
    rng, point = random.Random(candidate.digest()), _points(candidate)[0]
    scenario = _long(candidate.scope, point, rng)
    seed = rng.getrandbits(28)
    try:
        files = candidate.files()
        [result] = simulate(candidate.scope, files, point, [scenario], "verilator", seed, SECONDS)
    except BuildFailed as error:
        return [Finding(error.what, error.file, error.line, candidate.scope)], 0
    if scenario.transactions < FEWEST:
        return [Finding(f"the bench compares {scenario.transactions} transactions", block=candidate.scope)], 0
    if result.passed:
        return [], result.transfers
    _, found = finding_of(candidate, result, "")
    what = f"after many transactions since reset ({scenario.name}): {found.message}; shorter runs pass `simulate`"
    return [replace(found, message=what)], result.transfers


def _long(block: str, point: dict[str, int], rng: random.Random) -> Scenario:
    """One of the bench's scenarios without a reset, with LONG transactions."""
    factory, seed = bench(block), rng.getrandbits(28)
    each = factory(point, seed, LONG * len(factory(point, seed, 1)))
    return rng.choice([s for s in each if s.reset_after is None and s.transactions >= FEWEST])
