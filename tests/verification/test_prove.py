"""The prove gate: what is right is proved, planted faults are broken promises with inputs; refactors are equal."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from hwlib import contracts
from hwlib.design import Design
from hwlib.numerics.requantize import Int, requantize
from tests.verification.conftest import expert_text
from verification import aiger, arithmetic, gates, properties
from verification.equivalence import changed, same
from verification.gates import Candidate, Context, GateResult, prove
from verification.unroll import Net, constant

Make = Callable[[dict[str, str]], Design]
BLOCK = "requantizer"
FAULTS = {
    "y.stays": ("requantizer.v", "assign y_valid = waiting != 0;", "assign y_valid = waiting != 0 && !x_valid;"),
    "y.stable": ("requantizer.v", "queue[8*T*oldest +: 8*T]", "(moving[1] ? result : queue[8*T*oldest +: 8*T])"),
    "y.reset": ("requantizer.v", "waiting <= 0;", "waiting <= waiting;"),
    "y<=x.order": ("requantizer.v", "moving  <= {moving[0], fire}", "moving  <= {moving[0], x_valid}"),
    "x.ready": ("requantizer.v", "assign x_ready = !full;", "assign x_ready = !full && x_valid;"),
    "y[mult = 1].value": ("requantizer_lane.v", "{x[31], x}", "{1'b0, x}"),
    "y[mult = 16384].value": ("requantizer_lane.v", "less_one <= shift - 1'b1", "less_one <= shift"),
}
"""For each property a fault in the expert's requantizer that breaks it: file, text, replacement."""


def judged(design: Design, block: str) -> GateResult:
    return prove.run(Candidate(design, block), Context(jobs=1))


def test_activation_is_proved_in_every_promise(expert: Design) -> None:
    result = judged(expert, "activation")
    assert result.passed
    assert set(result.metrics["properties"]) == {"y.reset", "y.stays", "y.stable", "y<=x.order", "x.ready"}
    assert result.metrics["proved"] == 5
    assert result.metrics["violated"] == result.metrics["unknown"] == 0


@pytest.mark.parametrize("broken", FAULTS)
def test_a_planted_fault_is_found_and_told(broken: str, spoiled: Make) -> None:
    name, old, new = FAULTS[broken]
    result = judged(spoiled({name: expert_text(name, (old, new))}), BLOCK)
    assert not result.passed
    assert result.metrics["properties"][broken] == "violated"
    assert all(finding.file == f"{BLOCK}.v" and finding.line > 0 and finding.vector for finding in result.findings)


def test_an_accumulator_that_would_wrap_is_found_though_no_short_sum_shows_it(spoiled: Make) -> None:
    narrow = ("acc <= total;", "acc <= {total[32*T-1:32], {6{total[25]}}, total[25:0]};")
    result = judged(spoiled({"array_column.v": expert_text("array_column.v", narrow)}), "array")
    broken = {name for name, state in result.metrics["properties"].items() if state == "violated"}
    assert broken
    assert all("added to any sum" in name for name in broken)


def test_what_yosys_cannot_elaborate_is_a_finding(spoiled: Make) -> None:
    result = judged(spoiled({"requantizer_round.v": "module other; endmodule\n"}), BLOCK)
    assert not result.passed
    assert "requantizer_round" in str(result.findings[0])


def test_the_design_as_a_whole_adds_no_property(expert: Design) -> None:
    assert prove.run(Candidate(expert), Context()).passed
    assert "prove" in gates.BLOCK_GATES


def test_every_ordering_names_interfaces_of_its_contract() -> None:
    for block in contracts.names():
        names = {interface.name for interface in contracts.load(block).interfaces}
        assert all({each.out, each.of} <= names for each in contracts.load(block).ordering)
        assert len({each.name for each in properties.properties(block)}) == len(properties.properties(block))


def test_the_golden_formula_of_requantization_is_the_golden_function() -> None:
    chance, net = random.Random(1), Net()
    product, bias, shift = net.free(48), net.free(40), net.free(6)
    value, legal = arithmetic.requantized(net, product, bias, shift)
    graph = net.graph({"p": product, "b": bias, "s": shift, "y": value, "legal": (legal,)})
    for _ in range(200):
        x, mult = chance.randrange(-(1 << 31), 1 << 31), chance.randrange(-(1 << 15), 1 << 15)
        x >>= chance.randrange(32)
        b, s = chance.randrange(-(1 << 39), 1 << 39) >> chance.randrange(40), chance.randrange(1, 48)
        bits = [*constant(x * mult, 48), *constant(b, 40), *constant(s, 6)]
        found = next(graph.run([bits]))
        want = int(requantize(*(as_array(each) for each in (x, mult, b, s)))[0])
        assert (found["y"], found["legal"]) == (want & 0xFF, 1)
    assert [next(graph.run([[0] * 88 + list(constant(s, 6))]))["legal"] for s in (0, 48, 63)] == [0, 0, 0]


def as_array(value: int) -> Int:
    return np.array([value], dtype=np.int64)


def test_a_graph_keeps_what_decides_a_property_and_replays() -> None:
    # inputs a (1), b (2); a latch (3) that takes a and b, an and (4) of them
    graph = aiger.Aiger(2, (aiger.Latch(6, 8, 0),), ((4, 2),), {"a": (2,), "b": (4,), "was": (6,)})
    assert [values["was"] for values in graph.run([[1, 1], [0, 1], [0, 0]])] == [0, 1, 0]
    assert graph.property_text(6, 1).startswith(b"aig 4 2 1 0 1 1 1\n")
    assert graph.property_text(2, 1).startswith(b"aig 2 2 0 0 0 1 1\n")


def test_a_refactor_is_equal_and_a_change_is_told(expert: Design, spoiled: Make) -> None:
    old, new = "owned + {2'b0, fire} - {2'b0, take}", "owned - {2'b0, take} + {2'b0, fire}"
    name = "requantizer.v"
    refactored = spoiled({name: expert_text(name, (old, new))})
    assert changed(expert, refactored) == [BLOCK]
    assert same(expert, refactored, BLOCK).state == "equal"
    assert same(expert, expert, BLOCK).state == "equal"


def test_another_value_in_a_cycle_is_different(expert: Design, spoiled: Make) -> None:
    name = "requantizer_lane.v"
    found = same(expert, spoiled({name: expert_text(name, ("less_one <= shift - 1'b1", "less_one <= shift"))}), BLOCK)
    assert found.state == "different"
    assert [signal for signal, _, _ in found.signals] == ["y_data"]
    assert len(found.inputs) == found.cycle + 1


def test_the_wrapper_is_text_for_its_point() -> None:
    text = properties.wrapper("array", {"T": 2, "D": 1})
    assert "array #(.T(T), .D(D)) dut" in text
    assert text.startswith(f"module {properties.WRAPPER} (")
