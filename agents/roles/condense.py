"""A gate's findings as a designer can act on them: each fault once, at its first bad cycle, with the registers that its
signals follow from and the contract's clause.

A bench runs in many scenarios, points and simulators, and one fault shows in most; their findings differ in little.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from agents.records import Fact, GateOutcome
from hwlib.contracts.schema import Contract, Interface
from hwlib.errors import plain

if TYPE_CHECKING:
    from verification.cone import Register

FAULTS = 4
"""Different faults told of one gate: the rest mostly follow from the first."""
LINE = 600
"""Characters of a finding that is only text."""
VALUE, VECTOR, CLAUSE = 120, 200, 300
"""Characters of a value, of the input that shows the fault, and of what the contract says."""
REGISTERS = 6
"""Registers told of a fault: so many in front of its signals, and as many a cycle before."""
Cone = Callable[[Sequence[str]], Sequence["Register"]]
"""The registers that output ports follow from."""
_PACE = re.compile(r"cycles|not finished|full rate|hang|too slow")
_FIELD = re.compile(r"(\w+)=0x([0-9a-f]+)")


def _unknown(outputs: Sequence[str]) -> Sequence[Register]:
    return ()


def condense(outcome: GateOutcome, contract: Contract, cone: Cone = _unknown) -> list[str]:
    """The refused outcome's findings, bounded in number and length; none of one that passed."""
    if outcome.passed:
        return []
    if not outcome.facts:
        return [_cut(finding, LINE) for finding in outcome.findings[: 2 * FAULTS]]
    groups: dict[str, list[Fact]] = {}
    for fact in outcome.facts:
        groups.setdefault(fact.interface, []).append(fact)
    kept = list(groups.items())[:FAULTS]
    return [_fault(contract, name, facts, cone) for name, facts in kept]


def _fault(contract: Contract, name: str, facts: Sequence[Fact], cone: Cone) -> str:
    """The group's first fact, how often it was seen, where its signals come from, and what the contract says."""
    first = min(facts, key=lambda fact: fact.cycle if fact.cycle >= 0 else 1 << 62)
    where = f"{first.file}:{first.line}: " if first.line else ""
    more = f" (and {len(facts) - 1} more runs)" if len(facts) > 1 else ""
    parts = [f"{where}{_cut(first.message, LINE)}{more}"]
    parts += [f"first bad cycle {first.cycle}"] if first.cycle >= 0 else []
    parts += [_difference(first)] if first.expected or first.got else []
    parts += [f"input: {_cut(first.vector, VECTOR)}"] if first.vector else []
    interface = next((each for each in contract.interfaces if each.name == name), None)
    parts += [f"signals: {', '.join(_signals(interface))}"] if interface else []
    parts.append(f"contract: {_clause(contract, interface, first)}")
    parts += _origin(cone(_outputs(interface, first))) if interface else []
    return "; ".join(parts)


def _difference(fact: Fact) -> str:
    """Expected and got, and of fields that differ the lowest and highest bit that does."""
    text = f"expected {_cut(fact.expected, VALUE)}, got {_cut(fact.got, VALUE)}"
    spans = []
    for field, wrong in _wrong_bits(fact).items():
        low = (wrong & -wrong).bit_length() - 1
        spans.append(f"{field} differs in bits {wrong.bit_length() - 1}..{low}")
    return f"{text} ({', '.join(sorted(spans))})" if spans else text


def _wrong_bits(fact: Fact) -> dict[str, int]:
    """Of each field that differs the bits that do."""
    want, have = dict(_FIELD.findall(fact.expected)), dict(_FIELD.findall(fact.got))
    bits = {field: int(want[field], 16) ^ int(have[field], 16) for field in want.keys() & have.keys()}
    return {field: wrong for field, wrong in sorted(bits.items()) if wrong}


def _signals(interface: Interface) -> list[str]:
    handshake = {"stream": ["valid", "ready"], "flow": ["valid"], "wires": []}[interface.kind]
    return [f"{_stem(interface)}{name}" for name in (*handshake, *interface.fields)]


def _stem(interface: Interface) -> str:
    return interface.name + interface.separator if interface.name else ""


def _outputs(interface: Interface, fact: Fact) -> list[str]:
    """The interface's ports that the block drives; of a payload that differs, the fields that do."""
    if interface.direction == "in":
        return [f"{_stem(interface)}ready"] if interface.kind == "stream" else []
    wrong = [field for field in interface.fields if field in _wrong_bits(fact)]
    driven = [name for name in _signals(interface) if name != f"{_stem(interface)}ready"]
    return [f"{_stem(interface)}{field}" for field in wrong] or driven


def _origin(registers: Sequence[Register]) -> list[str]:
    """The registers in words: those in front of the signals, then those a cycle before."""
    told = []
    for before, words in enumerate(("the signals follow from", "these from")):
        level = [each for each in registers if each.before == before]
        names = [_place(each) for each in level[:REGISTERS]]
        more = f" and {len(level) - REGISTERS} more" if len(level) > REGISTERS else ""
        told += [f"{words} {', '.join(names)}{more}"] if names else []
    return told


def _clause(contract: Contract, interface: Interface | None, fact: Fact) -> str:
    """What it broke: pace, the interface's own words, or the sentence of the behaviour that names it."""
    if _PACE.search(fact.message) or _PACE.search(fact.expected):
        return _cut(f"throughput {contract.throughput}; latency {contract.latency}", CLAUSE)
    if interface is None:
        return _cut(" ".join(contract.behaviour.split()), CLAUSE)
    word = re.compile(rf"\b{re.escape(interface.name)}\b")
    sentences = re.split(r"(?<=[.;])\s+", " ".join(contract.behaviour.split()))
    named = next((sentence for sentence in sentences if interface.name and word.search(sentence)), "")
    return _cut(f"{interface.name}: {' '.join(interface.doc.split())} {named}".strip(), CLAUSE)


def _place(register: Register) -> str:
    """Its name and, where it is known, where it is declared."""
    name = plain(register.name, 80)
    return f"{name} ({register.file}:{register.line})" if register.file else name


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
