"""Functional coverage: how often a bench met what a contract's bins ask for, counted from the pins it sampled.

Besides the bins a contract declares: on every output stream a beat that was refused, on every input a pause between
beats, and a reset in mid-flight.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from types import CodeType
from typing import Any

from hwlib import isa
from hwlib.contracts.schema import Contract, parsed
from hwlib.errors import InputError
from verification.benches.scenario import Observed, Seen

RESET = "reset in mid-flight"

_ALLOWED = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE,
    ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod, ast.LShift,
    ast.RShift, ast.BitAnd, ast.Name, ast.Load, ast.Constant, ast.Tuple,
)  # fmt: skip


def bins(contract: Contract) -> list[str]:
    """Names of all bins of a block, ``interface: what``."""
    declared = [f"{group.of}: {name}" for group in contract.coverage for name in group.bins]
    return [*declared, *_implied(contract)]


def count(contract: Contract, point: Mapping[str, int], runs: Iterable[Observed]) -> Counter[str]:
    """How often each bin was met in `runs` at parameters `point`. Raises InputError for an expression that is none."""
    values = {name: p.default for name, p in contract.parameters.items()} | dict(point)
    found: Counter[str] = Counter()
    for run in runs:
        for group in contract.coverage:
            codes = {name: _compiled(text, f"{contract.block}.yaml: {name}") for name, text in group.bins.items()}
            for names in _beats(run.transfers.get(group.of, ()), values):
                found.update(f"{group.of}: {name}" for name, code in codes.items() if _holds(code, names))
        found.update(_seen_implied(contract, run))
    return found


def _implied(contract: Contract) -> list[str]:
    """Bins that follow from the interfaces."""
    streams = [i for i in contract.interfaces if i.kind != "wires"]
    refused = [f"{i.name}: refused" for i in streams if i.kind == "stream" and i.direction == "out"]
    return [*refused, *(f"{i.name}: after a pause" for i in streams if i.direction == "in"), RESET]


def _seen_implied(contract: Contract, run: Observed) -> Iterator[str]:
    for name in _implied(contract):
        interface, _, what = name.partition(": ")
        if name == RESET:
            met = bool(run.before_reset)
        elif what == "refused":
            met = run.waits.get(interface, 0) > 0
        else:
            cycles = [beat.cycle for beat in run.transfers.get(interface, ())]
            met = any(later > sooner + 1 for sooner, later in pairwise(cycles))
        if met:
            yield name


def _beats(transfers: Sequence[Seen], values: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """What an expression may name, for each beat; `values` too."""
    before: dict[str, int] = {}
    for beat in transfers:
        decoded = _decoded(beat.payload["instr"]) if "instr" in beat.payload else {}
        yield {**values, **before, **beat.payload, **decoded}
        before = {f"was_{name}": value for name, value in beat.payload.items()}


@lru_cache(maxsize=4096)
def _decoded(word: int) -> dict[str, Any]:
    """Names of an instruction; none of a word that is no legal one."""
    try:
        instruction = isa.decode(word)
    except InputError:
        return {}
    flags = {name.lower(): name in instruction.flags for name, _, _ in isa.BY_NAME[instruction.op].flags}
    waits = {field.name: field.extract(word) for field in isa.HEADER[2:]}
    return {**instruction.operands, **flags, **waits, "op": instruction.op}


@lru_cache
def _compiled(text: str, where: str) -> CodeType:
    try:
        tree = parsed(text)
    except SyntaxError as error:
        raise InputError(f"bin '{text}': {error.msg}", where, "write an expression of the beat's fields") from None
    wrong = next((node for node in ast.walk(tree) if not isinstance(node, _ALLOWED)), None)
    if wrong is not None:
        raise InputError(f"bin '{text}': {type(wrong).__name__}", where, "use fields, numbers, operators and `in`")
    return compile(tree, where, "eval")


def _holds(code: CodeType, names: Mapping[str, Any]) -> bool:
    """Whether the expression is true; one that names what this beat does not have is not."""
    try:
        return bool(eval(code, {"__builtins__": {}}, names))
    except NameError:
        return False
