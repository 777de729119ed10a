"""prove: no sequence of inputs at all makes a block break the handshake, the ordering of its contract, or its formula.

The block's smallest bench point is judged. A property that could not be settled in its time is counted as unknown and
does not fail; one that is broken fails with the shortest inputs that were found to break it.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from hwlib import contracts
from hwlib.contracts import Interface
from verification import aiger, arithmetic, cache, properties, prover, stubs, toolchain, unroll
from verification.judgement import Candidate, Context, Finding, GateResult, refusal
from verification.properties import RESET_CYCLES, Property, moves, stem
from verification.prover import Outcome, Question
from verification.unroll import Net
from verification.yosys import YosysFailed

NAME = "prove"
VERSION = 1
SECONDS = 1.0
"""For a property and an engine."""
SUSPECTED = 5.0
"""For a property that stand-ins for memories and blocks break: may the real ones?"""
STORY = 3
"""Cycles before the bad one that a finding tells in full."""

_Found = tuple[Property, Outcome]


def settings(candidate: Candidate, context: Context) -> str:
    """The points, the limits, the contracts and the code that makes properties of them."""
    modules = (aiger, arithmetic, properties, prover, stubs, unroll)
    code = cache.digest_files([Path(module.__file__ or "") for module in modules])
    return f"{candidate.points()} {SECONDS} {SUSPECTED} {code} {_contract_digest()}"


@lru_cache
def _contract_digest() -> str:
    return cache.digest({name: contracts.load(name).model_dump_json() for name in contracts.names()})


def run(candidate: Candidate, context: Context) -> GateResult:
    """Judge a block. A design has no properties beyond its blocks' here."""
    begin = time.monotonic()
    toolchain.require("yosys")
    if candidate.top == "top":
        return GateResult(NAME, candidate.scope, True)
    findings, found = list(candidate.missing()), list[_Found]()
    if not findings:
        try:
            found = judge(candidate.scope, candidate.files(), _point(candidate.scope))
        except YosysFailed as error:
            found = [(each, Outcome("unknown")) for each in properties.properties(candidate.scope)]
            findings = [] if error.stopped else [refusal(error, candidate.scope)]
    findings += [_finding(candidate, each, outcome) for each, outcome in found if outcome.state == "violated"]
    states = Counter(outcome.state for _, outcome in found)
    metrics = {state: states[state] for state in ("proved", "bounded", "unknown", "violated")}
    named = {each.name: _word(outcome) for each, outcome in found}
    took = time.monotonic() - begin
    return GateResult(
        NAME, candidate.scope, not findings, tuple(findings), metrics | {"properties": named}, seconds=took
    )


def _point(block: str) -> dict[str, int]:
    return contracts.load(block).bench_points[0]


def _word(outcome: Outcome) -> str:
    """A state for the metrics; a bounded property with the cycles after reset that it holds for."""
    return f"bounded {outcome.depth - RESET_CYCLES}" if outcome.state == "bounded" else outcome.state


def judge(block: str, files: Sequence[Path], point: Mapping[str, int]) -> list[_Found]:
    """Every property of a block with what became of it. Raises YosysFailed."""
    text = properties.wrapper(block, point)
    stands_in = stubs.stubs([path.name for path in files], block)
    promised = properties.properties(block)
    with cache.scratch_folder(NAME) as work:
        graph = prover.elaborate(text, files, work, stands_in)
        outcomes = _decide(graph, block, work, SECONDS)
        values = [_value(graph, make, work) for make in arithmetic.cases(block, point)]
    if stands_in and any(outcome.state == "violated" for outcome in outcomes):
        outcomes = _reconsider(block, files, text, outcomes)
    return [*zip(promised, map(_settled, outcomes), strict=True), *values]


def _value(graph: aiger.Aiger, make: Callable[[Net], arithmetic.Case], work: Path) -> _Found:
    """What became of a case of a block that computes."""
    case, outcome = arithmetic.check(graph, make, work, 2 * SECONDS)
    what = f"a result is not the contract's, with {case.name}"
    return Property("value", f"{case.out}[{case.name}]", what), outcome


def _reconsider(block: str, files: Sequence[Path], text: str, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """What stand-ins broke, with the real memories and blocks; unknown if that is too large to look at."""
    given = [Outcome("unknown") if outcome.state == "violated" else Outcome("proved") for outcome in outcomes]
    with cache.scratch_folder(NAME) as work:
        try:
            graph = prover.elaborate(text, files, work)
        except YosysFailed as error:
            if not error.stopped:
                raise
            again = given
        else:
            again = _decide(graph, block, work, SUSPECTED, given)
    return [new if old.state == "violated" else old for old, new in zip(outcomes, again, strict=True)]


def _settled(outcome: Outcome) -> Outcome:
    """A bound within the first reset says nothing."""
    return Outcome("unknown") if outcome.state == "bounded" and outcome.depth <= RESET_CYCLES else outcome


def _decide(
    graph: aiger.Aiger, block: str, work: Path, seconds: float, given: Sequence[Outcome] | None = None
) -> list[Outcome]:
    """An outcome for each property; with `given` what is proved there is not asked again, and no proof is tried."""
    graph = properties.with_ready(graph, block)
    keep = graph.names["prove_keep"][0]
    bits = (*graph.names["prove_bad"], *graph.names["prove_ready"])[: len(properties.properties(block))]
    questions = [Question(bad, keep) for bad in bits]
    return prover.decide(graph, questions, work, seconds, given=given, forever=given is None)


def _finding(candidate: Candidate, broken: Property, outcome: Outcome) -> Finding:
    """The broken promise at the line that declares its interface, with the inputs that lead to it."""
    where = " ".join(f"{name}={value}" for name, value in _point(candidate.scope).items())
    interface = re.split("<=|\\[", broken.interface)[0]
    if broken.kind == "value":
        return _wrong_value(candidate, broken, outcome, interface)
    return Finding(
        f"{broken.message} ({broken.name} at {where})",
        f"{candidate.scope}.v",
        candidate.declared(interface),
        candidate.scope,
        story(candidate.scope, broken, outcome.trace),
        cycle=len(outcome.trace) - 1 - RESET_CYCLES,
    )


def _wrong_value(candidate: Candidate, broken: Property, outcome: Outcome, interface: str) -> Finding:
    values = dict(outcome.trace[0])
    want, got = f"{values.pop('expected'):#x}", f"{values.pop('got'):#x}"
    vector = ", ".join(f"{name} {value:#x}" for name, value in values.items() if name != "wrong")
    file, line = f"{candidate.scope}.v", candidate.declared(interface)
    return Finding(f"{interface}: {broken.message}", file, line, candidate.scope, vector, want, got)


def story(block: str, broken: Property, trace: Sequence[Mapping[str, int]]) -> str:
    """A counterexample in words: beats that passed, then the signals of the interfaces concerned in the last cycles."""
    contract = contracts.load(block)
    concerned = [i for i in contract.interfaces if i.name in broken.interface.split("<=")]
    lines = []
    for cycle, values in enumerate(trace):
        label = f"cycle {cycle - RESET_CYCLES}: "
        if not values["rst_n"]:
            lines += [label + "reset"] if cycle >= RESET_CYCLES else []
        elif cycle >= len(trace) - STORY:
            lines.append(label + ", ".join(text for i in concerned for text in _signals(i, values)))
        else:
            passed = [i.name for i in contract.interfaces if i.kind != "wires" and _moves(i, values)]
            lines += [label + ", ".join(passed) + " passes"] if passed else []
    return "; ".join(lines)


def _moves(interface: Interface, values: Mapping[str, int]) -> bool:
    return all(values[name] for name in moves(interface).strip("()").split(" && "))


def _signals(interface: Interface, values: Mapping[str, int]) -> list[str]:
    names = [*(["valid", "ready"][: 2 if interface.kind == "stream" else 1]), *interface.fields]
    return [f"{stem(interface)}{name} {values.get(stem(interface) + name, 0):#x}" for name in names]
