"""A block's outputs as formulas of its inputs: a graph run over a few cycles whose control inputs are constants.

What is constant is worked out here, so that what is left of a block that computes is one combinational function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from verification.aiger import Aiger

Word = tuple[int, ...]
"""Literals of a number in two's complement, bit 0 first; 0 is false, 1 true, twice a variable, plus one if inverted."""


class Net:
    """A combinational graph being built: equal ands are built once, constants are folded."""

    def __init__(self) -> None:
        self._nodes: list[tuple[int, int] | None] = [None]
        self._known: dict[tuple[int, int], int] = {}

    def free(self, width: int) -> Word:
        """A number that may be anything."""
        first = len(self._nodes)
        self._nodes += [None] * width
        return tuple(2 * (first + bit) for bit in range(width))

    def both(self, a: int, b: int) -> int:
        """The literal of an and."""
        if a < b:
            a, b = b, a
        if b == 0 or a == b ^ 1:
            return 0
        if b == 1 or a == b:
            return a
        known = self._known.get((a, b))
        if known is None:
            known = self._known[a, b] = 2 * len(self._nodes)
            self._nodes.append((a, b))
        return known

    def either(self, a: int, b: int) -> int:
        """The literal of an or."""
        return self.both(a ^ 1, b ^ 1) ^ 1

    def differ(self, a: int, b: int) -> int:
        """The literal of an exclusive or."""
        return self.both(self.either(a, b), self.both(a, b) ^ 1)

    def choose(self, condition: int, yes: Word, no: Word) -> Word:
        """`yes` where `condition` holds, else `no`; of one width."""
        pairs = zip(yes, no, strict=True)
        return tuple(self.either(self.both(condition, a), self.both(condition ^ 1, b)) for a, b in pairs)

    def add(self, a: Word, b: Word, carry: int = 0) -> Word:
        """The sum of two numbers of one width, modulo it, and of a carry bit."""
        total = []
        for x, y in zip(a, b, strict=True):
            half = self.differ(x, y)
            total.append(self.differ(half, carry))
            carry = self.either(self.both(x, y), self.both(half, carry))
        return tuple(total)

    def times(self, a: Word, constant: int) -> Word:
        """`a` times a constant, modulo the width of `a`."""
        width, total = len(a), (0,) * len(a)
        for bit in range(width):
            if (constant % (1 << width)) >> bit & 1 and bit < width:
                total = self.add(total, ((0,) * bit + a)[:width])
        return total

    def shifted_down(self, a: Word, places: Word) -> Word:
        """`a` shifted right by a number without sign, its own sign kept: the floor of the quotient."""
        for bit, condition in enumerate(places):
            distance = min(1 << bit, len(a))
            a = self.choose(condition, a[distance:] + a[-1:] * distance, a)
        return a

    def unlike(self, a: Word, b: Word) -> int:
        """Whether two numbers of one width differ."""
        total = 0
        for x, y in zip(a, b, strict=True):
            total = self.either(total, self.differ(x, y))
        return total

    def graph(self, names: Mapping[str, Word]) -> Aiger:
        """What was built, without state, with ports `names`."""
        free = [variable for variable, node in enumerate(self._nodes) if node is None and variable]
        built = [variable for variable, node in enumerate(self._nodes) if node is not None]
        new = {old: index for index, old in enumerate([0, *free, *built])}

        def moved(x: int) -> int:
            return 2 * new[x >> 1] | (x & 1)

        nodes = [sorted(map(moved, node), reverse=True) for node in self._nodes if node is not None]
        ports = {name: tuple(map(moved, word)) for name, word in names.items()}
        return Aiger(len(free), (), tuple((high, low) for high, low in nodes), ports)


def constant(value: int, width: int) -> Word:
    """A number of that many bits."""
    return tuple(value >> bit & 1 for bit in range(width))


def extended(a: Word, width: int) -> Word:
    """`a` with its sign repeated up to `width` bits."""
    return a + a[-1:] * (width - len(a))


class Run:
    """A graph from its initial state on: `cycle` gives the outputs for inputs and goes on to the next state."""

    def __init__(self, graph: Aiger, net: Net) -> None:
        self._graph, self._net = graph, net
        self._state = [latch.initial for latch in graph.latches]
        named = {literal >> 1 for literals in graph.names.values() for literal in literals}
        self._unnamed = [variable for variable in range(1, 1 + graph.inputs) if variable not in named]

    def cycle(self, inputs: Mapping[str, Word]) -> dict[str, Word]:
        """All named ports' values with `inputs`; a port not given is 0, an input without a name may be anything."""
        graph, net = self._graph, self._net
        values = [0] * (1 + graph.inputs)
        for variable, literal in zip(self._unnamed, net.free(len(self._unnamed)), strict=True):
            values[variable] = literal
        for name, word in inputs.items():
            for literal, value in zip(graph.names[name], word, strict=True):
                values[literal >> 1] = value
        values += self._state
        for left, right in graph.ands:
            a, b = values[left >> 1] ^ (left & 1), values[right >> 1] ^ (right & 1)
            values.append(a * b if a < 2 or b < 2 else net.both(a, b))  # most are constants: 0 and 1 need no call
        self._state = [values[latch.following >> 1] ^ (latch.following & 1) for latch in graph.latches]
        return {name: tuple(values[x >> 1] ^ (x & 1) for x in literals) for name, literals in graph.names.items()}


def joined(words: Sequence[Word]) -> Word:
    """Numbers packed one above the other, the first lowest."""
    return tuple(bit for word in words for bit in word)
