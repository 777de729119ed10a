"""The matrix unit's bench: its instructions are legal, and mistakes with int4 words and single rows are noticed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from hwlib import contracts, isa
from hwlib.design import Design
from tests.verification.conftest import expert_text
from verification.benches import matrix_unit
from verification.benches.scenario import Drive
from verification.simulate import simulate

POINTS = contracts.load("matrix_unit").bench_points
SQUARE, NARROW, WIDE = range(3)
"""Bench points with T = D, T > D and T < D."""
TRANSACTIONS = 100


def programs(point: int, seed: int) -> list[list[isa.Instruction]]:
    """The instructions of every scenario."""
    scenarios = matrix_unit.scenarios(POINTS[point], seed, TRANSACTIONS)
    drives = [a for s in scenarios for a in s.agents if isinstance(a, Drive) and a.interface == "cmd"]
    return [[isa.decode(beat.payload["instr"]) for beat in drive.beats] for drive in drives]


@pytest.mark.parametrize("point", [SQUARE, NARROW, WIDE])
def test_rows_are_asked_for_as_the_contract_allows(point: int) -> None:
    tile, dot = POINTS[point]["T"], POINTS[point]["D"]
    rows = [i for seed in range(3) for program in programs(point, seed) for i in program if "ROW" in i.flags]
    assert rows
    for instruction in rows:
        o = instruction.operands
        assert "ROWSCALE" not in instruction.flags
        assert o["m_tiles"] == 1
        assert o["r_addr"] < (max(tile, dot) if "TRANSPOSE" in instruction.flags else tile)


@pytest.mark.parametrize(("flag", "operand"), [("W4", "k_words"), ("O4", "o_high")])
def test_int4_comes_with_every_other_flag_and_with_odd_counts(flag: str, operand: str) -> None:
    found = [i for seed in range(3) for program in programs(SQUARE, seed) for i in program if flag in i.flags]
    assert {name for i in found for name in i.flags} == {name for name, _, _ in isa.BY_NAME["GEMM"].flags}
    assert {i.operands[operand] % 2 for i in found} == {0, 1}


@dataclass(frozen=True)
class Broken:
    """A text of one of the unit's files, what a mistake makes of it, the point and the scenarios that show it."""

    file: str
    old: str
    new: str
    point: int
    shows: str


BROKEN = {
    "the high nibble takes the low one's sign": Broken(
        "matrix_unit_unpack.v", "upper ? high[3] : low[3]", "low[3]", SQUARE, "mixed"
    ),
    "a tile starts with the high nibbles left over": Broken(
        "matrix_unit_unpack.v", "!narrow || upper || tile_end", "!narrow || upper", SQUARE, "full-rate"
    ),
    "a cycle is lost between int4 words": Broken(
        "matrix_unit_unpack.v", "(!there || spent)", "(!there || (spent && !narrow))", SQUARE, "int4-rate"
    ),
    "a cycle is lost between words": Broken("matrix_unit_unpack.v", "(!there || spent)", "!there", SQUARE, "full-rate"),
    "int4 words are asked for twice": Broken(
        "matrix_unit_fetch.v", "!(narrow && k_odd)", "1'b1", SQUARE, "mixed"
    ),
    "a transposed row lands in the first part of a word": Broken(
        "matrix_unit_fetch.v", "& {OUT_FRAC{flags[ROW]}}", "& {OUT_FRAC{1'b0}}", WIDE, "back-to-back"
    ),
    "a transposed row is in every word of a tile": Broken(
        "matrix_unit_tile.v", "columns_on >> SPAN", "columns_on", NARROW, "full-rate"
    ),
    "every row is written": Broken(
        "matrix_unit_tile.v", "rows_on[p] && columns_on[q%SPAN];", "columns_on[q%SPAN];", SQUARE, "back-to-back"
    ),
    "int4 wraps instead of saturating": Broken(
        "matrix_unit_tile.v", "fits ? x[3:0] : {x[7], {3{!x[7]}}}", "x[3:0]", SQUARE, "mixed"
    ),
    "int4 takes both nibbles": Broken(
        "matrix_unit_tile.v", "{!int4 || out_word[0], !int4 || !out_word[0]}", "2'b11", NARROW, "mixed"
    ),
    "int4 always begins in the low nibbles": Broken(
        "matrix_unit_fetch.v", "{o_addr, o_high}", "{o_addr, 1'b0}", WIDE, "mixed"
    ),
    "a row-block of int4 is half as far": Broken(
        "matrix_unit_fetch.v", "int4 ? {out_stride, 1'b0}", "int4 ? {1'b0, out_stride}", SQUARE, "full-rate"
    ),
    "what is int4 is decided by the tile before": Broken(
        "matrix_unit_tile.v", "tile_int4 ? {nibble, nibble}", "int4 ? {nibble, nibble}", SQUARE, "mixed"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_the_bench_notices(name: str, spoiled: Callable[[dict[str, str]], Design]) -> None:
    broken = BROKEN[name]
    files = spoiled({broken.file: expert_text(broken.file, (broken.old, broken.new))}).closure_files("matrix_unit")
    point = POINTS[broken.point]
    (scenario,) = [s for s in matrix_unit.scenarios(point, 1, TRANSACTIONS) if s.name == broken.shows]
    (result,) = simulate("matrix_unit", files, point, [scenario])
    assert result.mismatches, result.why
