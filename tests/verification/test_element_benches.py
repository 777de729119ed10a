"""The benches of `eltwise` and `vector_unit`: stimulus has every kind and place, and mistakes are noticed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from hwlib import contracts, isa
from hwlib.design import Design
from tests.verification.conftest import expert_text
from verification.benches import eltwise, vector_unit
from verification.benches.scenario import Beat, Drive, Scenario
from verification.simulate import bench, simulate

ROTATE = 2
ADDRESSES = 1 << 16


def beats(scenario: Scenario, interface: str) -> list[Beat]:
    (drive,) = (a for a in scenario.agents if isinstance(a, Drive) and a.interface == interface)
    return list(drive.beats)


def instructions(scenario: Scenario) -> list[isa.Instruction]:
    return [isa.decode(beat.payload["instr"]) for beat in beats(scenario, "cmd")]


def programs(point: int) -> list[list[isa.Instruction]]:
    """The instructions of every scenario of three seeds."""
    where = contracts.load("vector_unit").bench_points[point]
    return [instructions(s) for seed in range(3) for s in vector_unit.scenarios(where, seed, 100)]


def kind(instruction: isa.Instruction) -> str:
    return " ".join((instruction.op, *sorted(instruction.flags)))


def test_every_operation_and_width_is_mixed_and_pairs_stay_together() -> None:
    for scenario in eltwise.scenarios({"T": 2}, 1, 300):
        payloads = [beat.payload for beat in beats(scenario, "x")]
        kinds = {(p["op"], p["wide"], p["wide_out"]) for p in payloads}
        assert kinds == {(0, w, o) for w in (0, 1) for o in (0, 1)} | {(1, 0, 0), (2, 0, 0)}, scenario.name
        at = 0
        while at < len(payloads):
            if payloads[at]["op"] == ROTATE:
                assert all(payloads[at][n] == payloads[at + 1][n] for n in ("op", "wide_out", "first", "second"))
                at += 1
            at += 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_reset_comes_between_the_beats_of_a_pair(seed: int) -> None:
    (scenario,) = (s for s in eltwise.scenarios({"T": 2}, seed, 300) if s.reset_after)
    assert scenario.reset_after is not None
    operations = [beat.payload["op"] for beat in beats(scenario, "x")][: scenario.reset_after[1]]
    assert operations[-1] == ROTATE
    assert operations.count(ROTATE) % 2 == 1


@pytest.mark.parametrize("point", [0, 1, 2])
def test_every_kind_of_instruction_is_legal(point: int) -> None:
    found = [i for program in programs(point) for i in program]
    assert {kind(i) for i in found} == set(vector_unit.KINDS)
    assert all(i.operands["cols"] % 2 == 0 for i in found if i.op == "ROPE")
    assert all(i.operands["span"] >= 1 for i in found if "CAUSAL" in i.flags)


def test_outputs_go_over_each_plane_of_the_operands() -> None:
    found = [i.operands for program in programs(0) for i in program if kind(i) == "ADD WIDE WIDE_OUT"]
    places = {place for o in found for place in _places(o)}
    assert places >= {"low over low", "low over high", "high over low", "elsewhere"}


def _places(o: Mapping[str, int]) -> set[str]:
    """Which plane of the output covers which plane of a wide first operand."""
    planes = {"low": 0, "high": o["span"]}
    found = {
        f"{mine} over {theirs}"
        for mine, up in planes.items()
        for theirs, offset in planes.items()
        if (o["o_addr"] + up - o["a_addr"] - offset) % ADDRESSES == 0
    }
    return found or {"elsewhere"}


def test_causal_spans_overflow_and_end_inside_the_row() -> None:
    found = [i.operands for program in programs(0) for i in program if "CAUSAL" in i.flags]
    rows = [(o, o["span"] + 4 * (o["row_blocks"] - 1)) for o in found]
    assert any(last >= ADDRESSES for _, last in rows)
    assert any(o["span"] < o["cols"] for o, _ in rows)


@dataclass(frozen=True)
class Broken:
    """A text of one of the expert's files, what a mistake makes of it, and the scenario that shows it."""

    block: str
    file: str
    old: str
    new: str
    shows: str


BROKEN = {
    "an even beat does not wait": Broken("eltwise", "eltwise.v", "&& (!even || x_valid)", "", "bubbles"),
    "planes saturate as int16": Broken("eltwise", "eltwise_round.v", "wide ? over_wide", "wide ? 1'b0", "corners"),
    "the mask grows too fast": Broken(
        "vector_unit", "vector_unit_fetch.v", "limit <= limit + ROWS", "limit <= limit + ROWS + 1'b1", "softmax"
    ),
    "spans lose their upper bits": Broken("vector_unit", "vector_unit_fetch.v", "span[15:12] == 4'd0", "1'b1", "mixed"),
    "one place too few for words of three": Broken(
        "vector_unit", "vector_unit_fetch.v", "wide ? THREES[ROOM_W-1:0]", "wide ? 3", "sustained"
    ),
    "padding of the high plane": Broken(
        "vector_unit", "vector_unit_pack.v", "padding ? 8'b0 : held_high", "held_high", "wide"
    ),
    "done before the last high word": Broken(
        "vector_unit", "vector_unit_pack.v", "planes ? high_written && high_last :", "", "slow-memory"
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_mistake_is_noticed(name: str, spoiled: Callable[[dict[str, str]], Design]) -> None:
    broken = BROKEN[name]
    design = spoiled({broken.file: expert_text(broken.file, (broken.old, broken.new))})
    point = contracts.load(broken.block).bench_points[0]
    chosen = [s for seed in (1, 2, 3) for s in bench(broken.block)(point, seed, 300) if s.name == broken.shows]
    results = simulate(broken.block, design.closure_files(broken.block), point, chosen, "icarus")
    assert not all(result.passed for result in results)
