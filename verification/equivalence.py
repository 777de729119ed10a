"""Whether two designs' versions of a block do the same in every cycle, for all inputs the contract allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hwlib import contracts
from hwlib.contracts import Interface
from hwlib.design import Design
from verification import cache, properties, prover
from verification.aiger import Aiger, Growing
from verification.properties import RESET_CYCLES, stem
from verification.prover import Outcome, Question


@dataclass(frozen=True)
class Sameness:
    """What a comparison of a block found.

    equal: proved for all time, of registers that begin at 0 in both. different: `signals` (name, first's value,
    second's) differ in `cycle` (0 is the first after reset) after the `inputs` of each cycle. unknown: not settled in
    the time given, but the same for `cycle` cycles.
    """

    block: str
    state: Literal["equal", "different", "unknown"]
    cycle: int = 0
    signals: tuple[tuple[str, int, int], ...] = ()
    inputs: tuple[dict[str, int], ...] = ()


def same(
    first: Design, second: Design, block: str, parameters: Mapping[str, int] | None = None, seconds: float = 10.0
) -> Sameness:
    """Compare `block` of two designs at `parameters` (default: the contract's first bench point).

    Payloads count only while they are valid. Memories stand for themselves; other blocks in it are the designs' own.
    Raises InputError for illegal parameters, YosysFailed if one of the designs cannot be elaborated.
    """
    contract = contracts.load(block)
    point = dict(parameters or contract.bench_points[0])
    contract.check(point)
    if _texts(first, block) == _texts(second, block):
        return Sameness(block, "equal")
    outcome, names = _compare(first, second, block, point, seconds)
    cycle = max(0, outcome.depth - RESET_CYCLES)
    if outcome.state != "violated":
        return Sameness(block, "equal" if outcome.state == "proved" else "unknown", cycle)
    last = outcome.trace[-1]
    differing = [(name, last[name], last[_other(name)]) for name in names if last[name] != last[_other(name)]]
    given = [port.name for port in contract.ports(point) if port.direction == "input" and port.name != "clk"]
    inputs = tuple({name: values[name] for name in given} for values in outcome.trace[RESET_CYCLES:])
    return Sameness(block, "different", cycle - 1, tuple(differing), inputs)


def changed(first: Design, second: Design) -> list[str]:
    """Blocks whose own files are not the same in both, leaves first."""
    return [name for name in contracts.names() if _own(first, name) != _own(second, name)]


def _own(design: Design, block: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in design.block_files(block)}


def _texts(design: Design, block: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in design.closure_files(block)}


def _compare(
    first: Design, second: Design, block: str, point: Mapping[str, int], seconds: float
) -> tuple[Outcome, Sequence[str]]:
    """The outcome of the question whether they ever differ, and the outputs compared."""
    contract = contracts.load(block)
    with cache.scratch_folder("equivalence") as work:
        one, two = (_elaborate(design, block, point, work / name) for design, name in ((first, "a"), (second, "b")))
        ports = contract.ports(point)
        shared = [port.name for port in ports if port.direction == "input" and port.name in one.names]
        a, b = one.joined(two, shared)
        grown = Growing(a)
        bad = grown.both(_differ(grown, contract.interfaces, a, b), a.names["rst_n"][0])
        keep = grown.both(a.names["prove_keep"][0], b.names["prove_keep"][0])
        outputs = [port.name for port in ports if port.direction == "output"]
        graph = grown.graph().naming({_other(name): b.names[name] for name in outputs})
        found = prover.decide(graph, [Question(bad, keep)], work, seconds, alike=True)
    return found[0], outputs


def _elaborate(design: Design, block: str, point: Mapping[str, int], folder: Path) -> Aiger:
    folder.mkdir()
    return prover.elaborate(properties.wrapper(block, point), design.closure_files(block), folder, from_zero=True)


def _differ(grown: Growing, interfaces: Sequence[Interface], a: Aiger, b: Aiger) -> int:
    """High where an output that counts in this cycle is not the same in both."""
    total = 0
    for interface in interfaces:
        handshake, payload = _outputs(interface)
        for name in handshake:
            total = grown.either(total, _unlike(grown, a.names[name], b.names[name]))
        valid = a.names[stem(interface) + "valid"][0] if interface.kind != "wires" else 1
        for name in payload:
            total = grown.either(total, grown.both(valid, _unlike(grown, a.names[name], b.names[name])))
    return total


def _outputs(interface: Interface) -> tuple[list[str], list[str]]:
    """Names of the outputs among an interface's ports: of its handshake, of its payload."""
    name = stem(interface)
    if interface.direction == "in":
        return ([name + "ready"] if interface.kind == "stream" else []), []
    return ([name + "valid"] if interface.kind != "wires" else []), [name + field for field in interface.fields]


def _unlike(grown: Growing, a: Sequence[int], b: Sequence[int]) -> int:
    total = 0
    for x, y in zip(a, b, strict=True):
        total = grown.either(total, grown.differ(x, y))
    return total


def _other(name: str) -> str:
    return f"second_{name}"
