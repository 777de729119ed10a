"""Reads the and-inverter graphs Yosys writes (binary AIGER), cuts single properties out of them, and replays traces.

A literal is twice its variable, plus one if inverted; 0 is false, 1 is true. Variables are numbered inputs first, then
latches, then ands. Format: Biere, Heljanko, Wieringa, "AIGER 1.9 and beyond", 2011.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from hwlib.errors import InputError

_NAMED = re.compile(r"^(input|output) (\d+) (\d+) (\S+)(?: \S+)?$", re.MULTILINE)


@dataclass(frozen=True)
class Latch:
    """One state bit: its literal, its next value, and the value it begins with (0 or 1; Yosys leaves no other)."""

    literal: int
    following: int
    initial: int


@dataclass(frozen=True)
class Aiger:
    """A graph. `ands` are the two operands of each and; `names` gives the literals of a named port, bit 0 first."""

    inputs: int
    latches: tuple[Latch, ...]
    ands: tuple[tuple[int, int], ...]
    names: Mapping[str, tuple[int, ...]]

    def property_text(self, bad: int, constraint: int) -> bytes:
        """Binary AIGER with one output, `bad`, while `constraint` holds, and only what decides them; all inputs."""
        latches, ands = self._cone((bad, constraint))
        order = [0, *range(1, 1 + self.inputs), *(self.latches[k].literal >> 1 for k in latches)]
        first = 1 + self.inputs + len(self.latches)
        new = {old: index for index, old in enumerate([*order, *(first + k for k in ands)])}

        def moved(literal: int) -> int:
            return 2 * new[literal >> 1] | (literal & 1)

        head = f"aig {len(new) - 1} {self.inputs} {len(latches)} 0 {len(ands)} 1 1\n"
        lines = [f"{moved(self.latches[k].following)}\n" for k in latches]
        data = bytearray((head + "".join(lines) + f"{moved(bad)}\n{moved(constraint)}\n").encode())
        for k in ands:
            high, low = sorted(map(moved, self.ands[k]), reverse=True)
            data += _varint(2 * new[first + k] - high) + _varint(high - low)
        return bytes(data)

    def joined(self, other: Aiger, shared: Iterable[str]) -> tuple[Aiger, Aiger]:
        """Two views of one graph that holds both, with the inputs of names `shared` in common."""
        renamed = {b >> 1: a for name in shared for a, b in zip(self.names[name], other.names[name], strict=True)}
        own = [variable for variable in range(1, 1 + other.inputs) if variable not in renamed]
        inputs = self.inputs + len(own)
        theirs = {0: 0} | renamed | {variable: 2 * (1 + self.inputs + k) for k, variable in enumerate(own)}
        latches = inputs + 1
        both = len(self.latches) + len(other.latches)
        for k in range(len(other.latches) + len(other.ands)):
            late = k >= len(other.latches)
            offset = both + len(self.ands) - len(other.latches) if late else len(self.latches)
            theirs[1 + other.inputs + k] = 2 * (latches + offset + k)
        ours = {variable: 2 * variable for variable in range(1 + self.inputs)}
        for k in range(len(self.latches) + len(self.ands)):
            ours[1 + self.inputs + k] = 2 * (latches + k + (len(other.latches) if k >= len(self.latches) else 0))
        first, second = _moved(self, ours), _moved(other, theirs)
        states, ands = (*first.latches, *second.latches), (*first.ands, *second.ands)
        return tuple(Aiger(inputs, states, ands, each.names) for each in (first, second))  # type: ignore[return-value]

    def naming(self, names: Mapping[str, tuple[int, ...]]) -> Aiger:
        """The graph with more named ports."""
        return replace(self, names={**self.names, **names})

    def _cone(self, roots: Sequence[int]) -> tuple[list[int], list[int]]:
        """Indices of the latches and ands that decide `roots` in this or a later cycle."""
        first_latch, first_and = 1 + self.inputs, 1 + self.inputs + len(self.latches)
        seen: set[int] = set()
        pending = [literal >> 1 for literal in roots]
        while pending:
            variable = pending.pop()
            if variable < first_latch or variable in seen:
                continue
            seen.add(variable)
            if variable < first_and:
                pending.append(self.latches[variable - first_latch].following >> 1)
            else:
                pending += [literal >> 1 for literal in self.ands[variable - first_and]]
        ordered = sorted(seen)
        return [v - first_latch for v in ordered if v < first_and], [v - first_and for v in ordered if v >= first_and]

    def with_dependence(self, output: int, given: int, only: int) -> tuple[Aiger, int]:
        """A larger graph and a literal in it: with `only` high, `output` would change in this cycle if `given` did."""
        grown, copies = Growing(self), {given >> 1: given ^ 1}
        first = 1 + self.inputs + len(self.latches)
        for index, (a, b) in enumerate(self.ands, first):
            if a >> 1 in copies or b >> 1 in copies:
                copies[index] = grown.both(*(copies.get(x >> 1, x & ~1) ^ (x & 1) for x in (a, b)))
        other = copies.get(output >> 1, output & ~1) ^ (output & 1)
        if other == output:
            return self, 0
        literal = grown.both(grown.differ(output, other), only)
        return grown.graph(), literal

    def run(self, vectors: Sequence[Sequence[int]]) -> Iterator[dict[str, int]]:
        """Values of all named ports in every cycle, from the initial state, for input bits in input order."""
        values = [0] * (1 + self.inputs + len(self.latches) + len(self.ands))
        state = [latch.initial for latch in self.latches]
        base = 1 + self.inputs
        for vector in vectors:
            values[1:base] = vector
            values[base : base + len(state)] = state
            for index, (a, b) in enumerate(self.ands, base + len(state)):
                values[index] = (values[a >> 1] ^ (a & 1)) & (values[b >> 1] ^ (b & 1))
            yield {name: _number(values, literals) for name, literals in self.names.items()}
            state = [values[latch.following >> 1] ^ (latch.following & 1) for latch in self.latches]


class Growing:
    """A graph that ands are added to."""

    def __init__(self, graph: Aiger) -> None:
        self._graph, self._ands = graph, list(graph.ands)

    def both(self, a: int, b: int) -> int:
        """The literal of an and."""
        self._ands.append((max(a, b), min(a, b)))
        return 2 * (self._graph.inputs + len(self._graph.latches) + len(self._ands))

    def either(self, a: int, b: int) -> int:
        """The literal of an or."""
        return self.both(a ^ 1, b ^ 1) ^ 1

    def differ(self, a: int, b: int) -> int:
        """The literal of an exclusive or."""
        return self.both(self.either(a, b), self.both(a, b) ^ 1)

    def graph(self) -> Aiger:
        """What it has become; names are the first graph's."""
        return replace(self._graph, ands=tuple(self._ands))


def read(data: bytes, names: str, declared: Sequence[tuple[str, int]]) -> Aiger:
    """The graph in `data`; ports from Yosys' map text `names` and the outputs `declared` (name, width) in order.

    Raises InputError if it is not what Yosys writes.
    """
    head, _, rest = data.partition(b"\n")
    words = head.split()
    if words[:1] != [b"aig"] or len(words) < 6:
        raise InputError("not a binary AIGER file", "AIGER", "")
    inputs, latches, outputs, ands = (int(word) for word in words[2:6])
    if any(int(word) for word in words[6:]):
        raise InputError("an AIGER file with sections of its own for properties", "AIGER", "")
    lines = rest.split(b"\n", latches + outputs)
    states = tuple(_latch(line, 2 * (1 + inputs + index)) for index, line in enumerate(lines[:latches]))
    out = [int(line) for line in lines[latches : latches + outputs]]
    pairs = _unpack(lines[-1], ands, 1 + inputs + latches)
    return Aiger(inputs, states, pairs, _ports(names, out, declared))


def _moved(graph: Aiger, to: Mapping[int, int]) -> Aiger:
    """The graph with its variables renamed to literals."""

    def moved(literal: int) -> int:
        return to[literal >> 1] ^ (literal & 1)

    latches = tuple(Latch(moved(x.literal), moved(x.following), x.initial) for x in graph.latches)
    ands = tuple((max(moved(a), moved(b)), min(moved(a), moved(b))) for a, b in graph.ands)
    return Aiger(graph.inputs, latches, ands, {name: tuple(map(moved, of)) for name, of in graph.names.items()})


def _latch(line: bytes, literal: int) -> Latch:
    words = [int(word) for word in line.split()]
    return Latch(literal, words[0], words[1] if len(words) > 1 else 0)


def _unpack(data: bytes, count: int, first: int) -> tuple[tuple[int, int], ...]:
    position, pairs = 0, []

    def number() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    for index in range(count):
        a = 2 * (first + index) - number()
        pairs.append((a, a - number()))
    return tuple(pairs)


def _ports(names: str, outputs: Sequence[int], declared: Sequence[tuple[str, int]]) -> dict[str, tuple[int, ...]]:
    """Yosys numbers outputs as they are declared; its map leaves out the constant ones."""
    bits = [(name, bit) for name, width in declared for bit in range(width)]
    found: dict[str, dict[int, int]] = {}
    for (name, bit), literal in zip(bits, outputs, strict=True):
        found.setdefault(name, {})[bit] = literal
    for kind, index, bit, name in _NAMED.findall(names):
        if kind == "input":
            found.setdefault(name, {})[int(bit)] = 2 * (1 + int(index))
        elif bits[int(index)] != (name, int(bit)):
            raise InputError(f"output {name} is not where it was declared", "AIGER", "")
    return {name: tuple(of[bit] for bit in sorted(of)) for name, of in found.items()}


def _varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def _number(values: Sequence[int], literals: Sequence[int]) -> int:
    return sum((values[literal >> 1] ^ (literal & 1)) << bit for bit, literal in enumerate(literals))
