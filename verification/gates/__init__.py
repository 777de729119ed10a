"""What "accepted" means: a design passes these gates, in this order, cheapest first.

policy      the text keeps to the contract and to a small, tool-independent part of Verilog-2005
lint        Verilator finds nothing to warn about, Yosys no latch, loop or second driver
simulate    every block does what its contract says, bit for bit, on Icarus and on Verilator
sealed      and it does so at parameters, values, stalls and resets that no designer has seen
prove       no inputs at all make a block break handshake, ordering or formula, as far as solvers settle it
integrate   the whole design runs a compiled workload bit for bit, with a memory that stalls
synthesise  it maps to standard cells, and meets clock, area and power where limits are given
netlist     the netlist of every block, in models of the library's cells, passes the block's bench
memorisation  answers come from the inputs, not from a table, a copied module, or how many came before
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module
from typing import cast

from hwlib import contracts
from hwlib.errors import InputError
from verification import toolchain
from verification.evidence import Evidence
from verification.judgement import (
    Candidate,
    Context,
    Finding,
    Gate,
    GateResult,
    Workload,
    WorkloadReport,
    replay_command,
)

GATES = ("policy", "lint", "simulate", "sealed", "prove", "integrate", "synthesise", "netlist", "memorisation")
"""In order; each is the module here of that name."""

BLOCK_GATES = ("policy", "lint", "simulate", "sealed", "prove", "netlist", "memorisation")
"""The gates that judge one block as well as a whole design."""
QUICK_GATES = ("policy", "lint", "simulate")
"""The gates of a quick verdict."""
_TOGETHER = {"synthesise": "integrate", "memorisation": "netlist"}
"""Gates that run beside the one before: each alone leaves cores idle while its longest tool runs."""

__all__ = [
    "BLOCK_GATES", "GATES", "QUICK_GATES", "Candidate", "Context", "Finding", "Gate", "GateResult", "Workload",
    "WorkloadReport", "gate", "judge", "quick_verdict", "verdict",
]  # fmt: skip


def gate(name: str) -> Gate:
    """The gate of that name, loaded when first asked for: a quick verdict need not wait for the others."""
    if name not in GATES:
        raise InputError(f"no gate '{name}'", "--gate", f"use one of {', '.join(GATES)}")
    return cast("Gate", import_module(f"{__name__}.{name}"))


def judge(name: str, candidate: Candidate, context: Context, evidence: Evidence | None = None) -> GateResult:
    """One gate on one candidate, from the evidence if exactly this was judged before.

    For a whole design, a block gate judges every block, and then what only the whole shows. Raises InputError if it
    cannot be judged: no such block, a missing tool or workload.
    """
    chosen, store = gate(name), evidence or Evidence()
    if candidate.whole and name in BLOCK_GATES:
        blocks = [Candidate(candidate.design, block) for block in contracts.names()]
        each = judge_all(name, blocks, context, store)
        return _together([*each, _judge_one(chosen, candidate, context, store)])
    if not candidate.whole and name not in BLOCK_GATES:
        raise InputError(f"gate '{name}' judges whole designs", "--gate", f"for a block use {', '.join(BLOCK_GATES)}")
    return _judge_one(chosen, candidate, context, store)


def _judge_one(chosen: Gate, candidate: Candidate, context: Context, store: Evidence) -> GateResult:
    if not candidate.own_files():
        raise InputError(f"no file {candidate.top}.v", str(candidate.design.folder / "rtl"), "every block needs one")
    key = store.key(chosen, candidate, context)
    result = store.find(key)
    if result is not None:
        context.progress(chosen.NAME, candidate.scope, "reused")
    else:
        context.progress(chosen.NAME, candidate.scope, "running")
        result = chosen.run(candidate, context)
        store.keep(key, result)
        context.progress(chosen.NAME, candidate.scope, "passed" if result.passed else "failed")
    return replace(result, replay=replay_command(chosen.NAME, candidate, context))


def _together(results: Sequence[GateResult]) -> GateResult:
    """The blocks' results and the whole's (last) as one."""
    whole = results[-1]
    counts: dict[str, float] = {}
    for result in results:
        for name, value in result.metrics.items():
            if isinstance(value, int | float):
                counts[name] = counts.get(name, 0) + value
    failed = next((result for result in results if not result.passed), whole)
    return replace(
        whole,
        passed=all(result.passed for result in results),
        findings=tuple(finding for result in results for finding in result.findings),
        metrics=counts | {"failed": [result.scope for result in results if not result.passed]},
        replay=failed.replay,
        seconds=sum(result.seconds for result in results if not result.reused),
        reused=all(result.reused for result in results),
    )


def judge_all(
    name: str, candidates: Iterable[Candidate], context: Context, evidence: Evidence | None = None
) -> list[GateResult]:
    """One gate on several candidates at once, `context.jobs` at a time; the sandbox bounds what they run together."""
    with ThreadPoolExecutor(context.jobs) as pool:
        return list(pool.map(lambda candidate: judge(name, candidate, context, evidence), candidates))


def quick_verdict(candidate: Candidate, context: Context, evidence: Evidence | None = None) -> list[GateResult]:
    """The gates of one block side by side, as far as an edit in progress needs them; results up to the first refusal.

    Raises InputError for a whole design.
    """
    if candidate.whole:
        raise InputError("a quick verdict is of one block", "--quick", "name it with --block")
    hasty = replace(context, quick=True, jobs=1)
    toolchain.fingerprint()  # once, and not by every thread
    return _side_by_side(QUICK_GATES, candidate, hasty, evidence)


def verdict(
    candidate: Candidate, context: Context, names: Sequence[str] | None = None, evidence: Evidence | None = None
) -> list[GateResult]:
    """The gates in order until one fails; accepted if as many results as gates, the last one passed.

    With more than one job some run side by side; what ran beside a refusal stays in the evidence.
    """
    results: list[GateResult] = []
    for stage in _stages(candidate, context, names):
        results += _side_by_side(stage, candidate, context, evidence)
        if not results[-1].passed:
            break
    return results


def _side_by_side(
    names: Sequence[str], candidate: Candidate, context: Context, evidence: Evidence | None
) -> list[GateResult]:
    """The gates at once; results up to the first refusal in their order."""
    with ThreadPoolExecutor(len(names)) as pool:
        results = list(pool.map(lambda name: judge(name, candidate, context, evidence), names))
    refused = next((i for i, result in enumerate(results) if not result.passed), len(results))
    return results[: refused + 1]


def _stages(candidate: Candidate, context: Context, names: Sequence[str] | None) -> list[list[str]]:
    """The gates asked for, those that run side by side together."""
    stages: list[list[str]] = []
    for name in GATES:
        if (names is None or name in names) and (candidate.whole or name in BLOCK_GATES):
            if context.jobs > 1 and stages and stages[-1][-1] == _TOGETHER.get(name):
                stages[-1].append(name)
            else:
                stages.append([name])
    return stages
