"""integrate: the whole design runs a compiled workload bit for bit, behind a memory that stalls."""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path

from hwlib.errors import InputError
from verification import cache, system, toolchain, verilate
from verification.judgement import Candidate, Context, Finding, GateResult, refusal
from verification.system.simulation import MemoryModel, open_simulation

NAME = "integrate"
VERSION = 1


def settings(candidate: Candidate, context: Context) -> str:
    """The workload, the memory behind the port, and the harness."""
    key = context.workload.key if context.workload else ""
    return f"{key} {context.memory_latency} {context.memory_stall} {context.seed} {harness_digest()}"


@lru_cache
def harness_digest() -> str:
    """Hash of what surrounds a simulated design: memory and host in C++, and the session with it."""
    folder = Path(system.__file__).parent
    files = [*folder.glob("*.py"), *folder.glob("*.cpp"), Path(verilate.__file__)]
    return cache.digest_files(files)


def run(candidate: Candidate, context: Context) -> GateResult:
    """Run the context's workload; nothing compared is nothing shown. Raises InputError if there is no workload."""
    begin = time.monotonic()
    toolchain.require("verilator", "g++")
    if context.workload is None:
        raise InputError("integrate needs a workload", "gate integrate", "give the context one that the compiler made")
    memory = MemoryModel(context.memory_latency, context.memory_stall, context.seed)
    try:
        report = context.workload.run(candidate.design, lambda: open_simulation(candidate.design, memory))
    except InputError as error:
        return _result(candidate, begin, (refusal(error, "top"),), {})
    findings = report.findings
    if not findings and report.compared == 0:
        findings = (Finding("the workload compared nothing", block="top"),)
    return _result(candidate, begin, findings, {"compared": report.compared, **report.counters})


def _result(candidate: Candidate, begin: float, findings: tuple[Finding, ...], metrics: dict[str, int]) -> GateResult:
    return GateResult(
        NAME,
        candidate.scope,
        not findings,
        findings,
        dict(metrics),
        seconds=time.monotonic() - begin,
    )
