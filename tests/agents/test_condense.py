"""Findings for designers: each fault once, with what differs, where, and the clause it breaks; always short."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agents.records import Fact, GateOutcome
from agents.roles.condense import FAULTS, REGISTERS, condense
from hwlib import contracts
from verification.cone import Register

BLOCK = "requantizer"
CONTRACT = contracts.load(BLOCK)


def outcome(*facts: Fact) -> GateOutcome:
    return GateOutcome("simulate", BLOCK, False, tuple(fact.message for fact in facts), facts=facts)


def seen(cycle: int, where: str, **changes: str) -> Fact:
    values = {"expected": "data=0x80ff", "got": "data=0x7fff", "vector": "data=0x1 shift=0x2"} | changes
    return Fact(f"{where}: y beat 3", f"{BLOCK}.v", 12, "y", cycle, **values)


def test_a_fault_is_told_once_at_its_first_bad_cycle() -> None:
    (told,) = condense(outcome(seen(30, "wide"), seen(14, "bubbles"), seen(-1, "reset")), CONTRACT)
    assert told.startswith(
        f"{BLOCK}.v:12: bubbles: y beat 3 (and 2 more runs); first bad cycle 14; expected data=0x80ff"
    )
    assert "got data=0x7fff (data differs in bits 15..8); input: data=0x1 shift=0x2" in told
    assert "signals: y_valid, y_ready, y_data" in told
    assert "contract: y: data[8*r +: 8] is lane r's int8 result" in told


def test_a_fault_is_told_with_the_registers_that_its_wrong_ports_follow_from() -> None:
    asked: list[list[str]] = []

    def cone(outputs: Sequence[str]) -> list[Register]:
        asked.append(list(outputs))
        near = [Register(0, "f.v", line, f"near{line}") for line in range(REGISTERS + 2)]
        return [*near, Register(1, "g.v", 9, "far\x1b[31m")]

    told = condense(outcome(seen(3, "bubbles"), Fact("x: ready fell while valid", interface="x")), CONTRACT, cone)
    condense(outcome(Fact("y: valid withdrawn", interface="y")), CONTRACT, cone)
    assert asked == [["y_data"], ["x_ready"], ["y_valid", "y_data"]]
    assert "; the signals follow from near0 (f.v:0), near1 (f.v:1)" in told[0]
    assert f"near{REGISTERS - 1} (f.v:{REGISTERS - 1}) and 2 more; these from far (g.v:9)" in told[0]


@pytest.mark.parametrize(
    ("fact", "clause"),
    [
        (seen(90, "full-rate", expected="60 beats in 60 cycles", got="120 cycles"), "throughput one beat a cycle"),
        (Fact("not finished after 900 cycles", interface="y"), "latency at most 16 cycles"),
        (Fact("x: ready fell while valid", interface="x", cycle=4), "contract: x: data[32*r +: 32] int32"),
        (Fact("a fault nowhere in the contract", interface="zz"), "contract: For each beat and lane r"),
    ],
)
def test_the_clause_is_the_one_that_is_broken(fact: Fact, clause: str) -> None:
    assert clause in condense(outcome(fact), CONTRACT)[0]


def test_what_is_told_is_bounded() -> None:
    wide = "data=0x" + "5" * 4000
    facts = [Fact("m" * 4000, "f.v", 1, f"i{n}", 3, wide, wide[:-1] + "4", wide) for n in range(9)]
    told = condense(outcome(*facts), CONTRACT)
    assert len(told) == FAULTS
    assert all(len(line) < 2000 and "\n" not in line for line in told)
    text = GateOutcome("lint", BLOCK, False, ("l" * 4000,) * 30)
    assert sum(map(len, condense(text, CONTRACT))) < 2 * FAULTS * 601


def test_of_a_gate_that_passed_nothing_is_told() -> None:
    assert condense(GateOutcome("lint", BLOCK, True, ("a note",)), CONTRACT) == []
