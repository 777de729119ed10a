"""Golden functions of the arithmetic blocks as formulas, and the question whether a block's outputs are them.

A block is run from reset over a few cycles with control inputs constant, so that its outputs become one formula of the
operands, however it is pipelined. Whole multipliers are beyond a solver: one factor is a constant in every case here,
the rest may be anything. What the cases leave open, simulation covers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from verification import prover
from verification.aiger import Aiger
from verification.properties import RESET_CYCLES
from verification.prover import Outcome
from verification.unroll import Net, Run, Word, constant, extended, joined

WAIT = 24
"""Cycles an output may take; contracts allow less."""
SUM_BITS = 52
ACC_BITS = 32
"""The array's accumulators: int32 by its contract."""


@dataclass(frozen=True)
class Case:
    """Operands that are constant (the name says which), the beats of them, and the beats that must follow.

    beats: inputs of consecutive cycles. legal: whether the contract allows the operands. expected: payload of each
    beat of output `out`, lowest word first. held: the block adds to what it holds, which may be anything: so many first
    beats of the output say what that was, and those that follow are expected to be more than it by so much.
    """

    name: str
    out: str
    beats: Sequence[Mapping[str, Word]]
    expected: Sequence[Word]
    legal: int = 1
    shown: Mapping[str, Word] = field(default_factory=dict)
    held: int = 0


def cases(block: str, point: Mapping[str, int]) -> list[Callable[[Net], Case]]:
    """The cases of `block`: each builds its formulas in a net. None for a block that does no arithmetic of its own."""
    return _CASES[block](point) if block in _CASES else []


def check(graph: Aiger, make: Callable[[Net], Case], folder: Path, seconds: float) -> tuple[Case, Outcome]:
    """Whether a block's graph (from `properties.wrapper`) does what a case expects."""
    net = Net()
    case = make(net)
    got = _outputs(Run(graph, net), case)
    if got is None:
        return case, Outcome("unknown")
    expected = case.expected
    if case.held:
        held, got = got[: case.held], got[case.held :]
        expected = [_after(net, held[number % case.held], more) for number, more in enumerate(expected)]
    wrong = 0
    for has, want in zip(got, expected, strict=True):
        wrong = net.either(wrong, net.unlike(has[: len(want)], want))
    names = {
        **case.shown,
        "got": joined(got),
        "expected": joined(expected),
        "wrong": (net.both(wrong, case.legal),),
    }
    formula = net.graph(names)
    return case, prover.decide_function(formula, formula.names["wrong"][0], folder, seconds)


def _outputs(run: Run, case: Case) -> list[Word] | None:
    """Payloads of the output beats; None if handshakes depend on operands or a beat does not come."""
    ready = {f"{case.out}_ready": (1,)}
    for _ in range(RESET_CYCLES):
        run.cycle(ready)
    found: list[Word] = []
    for cycle in range(len(case.beats) + WAIT):
        beat = case.beats[cycle] if cycle < len(case.beats) else {}
        values = run.cycle({"rst_n": (1,)} | ready | dict(beat))
        accepted = all(values[name.replace("valid", "ready")] == (1,) for name in beat if name.endswith("_valid"))
        valid = values[f"{case.out}_valid"]
        if not accepted or valid not in ((0,), (1,)):
            return None
        found += [values[f"{case.out}_data"]] if valid == (1,) else []
        if len(found) == case.held + len(case.expected):
            return found
    return None


def _after(net: Net, held: Word, added: Word) -> Word:
    """The accumulators of a beat after what was `held` and `added`, each modulo 2**ACC_BITS."""
    lanes = [slice(lane, lane + ACC_BITS) for lane in range(0, len(held), ACC_BITS)]
    return joined([net.add(held[lane], added[lane]) for lane in lanes])


def requantized(net: Net, product: Word, bias: Word, shift: Word) -> tuple[Word, int]:
    """``sat8((product + bias + 2**(shift-1)) >> shift)`` and whether `shift` is legal, 1 to 47."""
    places = [_equals(net, shift, count) for count in range(48)]
    half = tuple([*places[1:], *(0,) * SUM_BITS][:SUM_BITS])
    total = net.add(net.add(extended(product, SUM_BITS), extended(bias, SUM_BITS)), half)
    value = net.shifted_down(total, shift)
    outside = net.unlike(value[7:-1], (value[-1],) * len(value[7:-1]))
    clamped = net.choose(value[-1], constant(-128, 8), constant(127, 8))
    legal = 0
    for place in places[1:]:
        legal = net.either(legal, place)
    return net.choose(outside, clamped, value[:8]), legal


def _equals(net: Net, word: Word, value: int) -> int:
    return net.unlike(word, constant(value, len(word))) ^ 1


def _requantizer(point: Mapping[str, int]) -> list[Callable[[Net], Case]]:
    lanes = point["T"]

    def by_factor(factor: int) -> Callable[[Net], Case]:
        def make(net: Net) -> Case:
            x, shifts, bias = [net.free(32) for _ in range(lanes)], [net.free(6) for _ in range(lanes)], net.free(40)
            mult = [constant(factor, 16)] * lanes
            results = [
                requantized(net, net.times(extended(word, SUM_BITS), factor), bias, shift)
                for word, shift in zip(x, shifts, strict=True)
            ]
            legal = 1
            for _, each in results:
                legal = net.both(legal, each)
            beat = {"x_data": joined(x), "x_mult": joined(mult), "x_shift": joined(shifts), "x_bias": bias}
            return Case(
                f"mult = {factor}", "y", [{"x_valid": (1,), **beat}], [joined([y for y, _ in results])], legal, beat
            )

        return make

    return [by_factor(1), by_factor(1 << 14)]


def _eltwise(point: Mapping[str, int]) -> list[Callable[[Net], Case]]:
    lanes = point["T"]

    def adding(first: int, second: int, wide: bool) -> Callable[[Net], Case]:
        def make(net: Net) -> Case:
            a, high, b = ([net.free(8) for _ in range(lanes)] for _ in range(3))
            shift, bias = net.free(6), net.free(40)
            results = []
            for low, top, other in zip(a, high, b, strict=True):
                u = extended(low, SUM_BITS)
                u = net.add(u, ((0,) * 8 + extended(top, SUM_BITS))[:SUM_BITS]) if wide else u
                product = net.add(net.times(u, first), net.times(extended(other, SUM_BITS), second))
                results.append(requantized(net, product, bias, shift))
            entry = (*constant(first, 16), *shift, 0, 0, *bias)
            beat = {"x_a": joined(a), "x_high": joined(high), "x_b": joined(b), "x_wide": (int(wide),),
                    "x_first": entry, "x_second": constant(second, 64)}  # fmt: skip
            name = f"add{' wide' if wide else ''}, multipliers {first} and {second}"
            return Case(name, "y", [{"x_valid": (1,), **beat}], [joined([y for y, _ in results])], results[0][1], beat)

        return make

    def multiplying(factor: int) -> Callable[[Net], Case]:
        def make(net: Net) -> Case:
            a, shift, bias = [net.free(8) for _ in range(lanes)], net.free(6), net.free(40)
            results = [requantized(net, net.times(extended(low, SUM_BITS), factor), bias, shift) for low in a]
            entry = (*constant(1, 16), *shift, 0, 0, *bias)
            beat = {"x_a": joined(a), "x_b": constant(factor, 8) * lanes, "x_op": constant(1, 2), "x_first": entry}
            expected = [joined([y for y, _ in results])]
            return Case(f"multiply by {factor}", "y", [{"x_valid": (1,), **beat}], expected, results[0][1], beat)

        return make

    return [adding(1, 0, False), adding(0, 1, False), adding(1, 0, True), multiplying(1), multiplying(-128)]


def _array(point: Mapping[str, int]) -> list[Callable[[Net], Case]]:
    size, depth = point["T"], point["D"]

    def operands(net: Net, factors: Sequence[int], of_a: bool) -> tuple[Word, dict[str, Word], list[Word]]:
        """Free words, a beat's operands of them and constant `factors`, and the dot product of each of their rows."""
        words = [net.free(8) for _ in range(size * depth)]
        packed, other = joined(words), joined([constant(factor, 8) for factor in factors]) * size
        sums = []
        for row in range(size):
            total = constant(0, ACC_BITS)
            for word, factor in zip(words[row * depth :], factors, strict=False):
                total = net.add(total, net.times(extended(word, ACC_BITS), factor))
            sums.append(total)
        return packed, {"op_a": other if of_a else packed, "op_b": packed if of_a else other}, sums

    def tile(sums: Sequence[Word], of_a: bool) -> list[Word]:
        """The beats of a tile in which every column, or with `of_a` every row, is `sums`."""
        return [joined([sums[column if of_a else row] for row in range(size)]) for column in range(size)]

    def named(factors: Sequence[int], of_a: bool) -> str:
        return f"{'a' if of_a else 'b'} = {', '.join(map(str, factors))} repeated"

    def by_factors(factors: Sequence[int], of_a: bool) -> Callable[[Net], Case]:
        def make(net: Net) -> Case:
            first, second = (operands(net, factors, of_a) for _ in range(2))
            beats = [
                first[1] | {"op_valid": (1,), "op_first": (1,), "op_last": (0,)},
                second[1] | {"op_valid": (1,), "op_first": (0,), "op_last": (1,)},
            ]
            sums = [net.add(one, other) for one, other in zip(first[2], second[2], strict=True)]
            shown = {"step0": first[0], "step1": second[0]}
            return Case(named(factors, of_a), "acc", beats, tile(sums, of_a), 1, shown)

        return make

    def growing(factors: Sequence[int], of_a: bool) -> Callable[[Net], Case]:
        """A beat that is added, modulo 2**ACC_BITS, to any sum before it: as what begins at 0 and grows so is the sum
        of all beats, and K_MAX products of int8 stay below 2**(ACC_BITS-1), no legal sum wraps."""

        def make(net: Net) -> Case:
            words, beat, sums = operands(net, factors, of_a)
            ends = {"op_first": (0,), "op_last": (1,), "op_valid": (1,)}
            nothing = {name: constant(0, 8 * size * depth) for name in beat}
            pause = [dict[str, Word]()] * WAIT
            beats = [nothing | ends, *pause, beat | ends, *pause, nothing | ends]
            name = f"{named(factors, of_a)}, added to any sum"
            return Case(name, "acc", beats, 2 * tile(sums, of_a), 1, {"words": words}, held=size)

        return make

    single = [[1] + [0] * (depth - 1), [0] * (depth - 1) + [-128], [64] + [0] * (depth - 1)]
    from_zero = [by_factors(factors, of_a) for factors in single for of_a in (False, True)]
    return from_zero + [growing(factors, of_a) for factors in single[:2] for of_a in (False, True)]


_CASES: Mapping[str, Callable[[Mapping[str, int]], list[Callable[[Net], Case]]]] = {
    "requantizer": _requantizer,
    "eltwise": _eltwise,
    "array": _array,
}
