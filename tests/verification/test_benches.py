"""Every block's bench passes the expert and the templates, and notices when the expert's RTL is broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hwlib import contracts
from hwlib.design import Design, Manifest
from hwlib.templates import defaults, render_design, variants
from tests.verification.conftest import AtFirstPoint, expert_text
from verification.gates import Candidate, Context, Finding, GateResult, simulate

BLOCKS = [name for name in contracts.names() if name != "top"]
QUICK = Context(transactions=100, simulators=("icarus",), jobs=1)
THOROUGH = 1000
"""Transactions at each point."""
MANIFEST = Manifest(name="rendered", clock_ns=8, parameters={"T": 4, "D": 4})


@pytest.mark.parametrize("block", BLOCKS)
def test_the_expert_passes(block: str, expert: Design) -> None:
    result = simulate.run(AtFirstPoint(expert, block), QUICK)
    assert result.passed, str(result.findings[0])
    assert result.metrics["transfers"] >= QUICK.transactions
    assert result.metrics["runs"] >= 5


@dataclass(frozen=True)
class Broken:
    """A text of one of a block's files, what a mistake makes of it, and the interfaces that may show it first."""

    block: str
    file: str
    old: str
    new: str
    shows: tuple[str, ...]


BROKEN = {
    "array: a tile ends while the last one drains": Broken(
        "array", "array.v", "(gap == 0 && (owed <= SKID_BEATS", "((owed <= SKID_BEATS", ("acc",)
    ),
    "array: first does not clear": Broken("array", "array_column.v", "acc & {32*T{!first}}", "acc", ("acc",)),
    "array: products of the sign bit are not complemented": Broken(
        "array", "array_group.v", "(j == 7) ? RESTS : TOPS", "TOPS", ("acc",)
    ),
    "requantizer: halves are cut off": Broken(
        "requantizer", "requantizer_round.v", "by1[8:1] + {7'b0, by1[0]}", "by1[8:1]", ("y",)
    ),
    "requantizer: rounds 127.5 to -128": Broken(
        "requantizer", "requantizer_round.v", "by1[7:0] == 8'hff && !sign", "1'b0", ("y",)
    ),
    "activation: a passed beat overtakes a looked-up one": Broken(
        "activation", "activation.v", "held && !held_en && !looking", "held && !held_en", ("y",)
    ),
    "activation: writes past the tables wrap": Broken(
        "activation", "activation_table.v", "tab_valid && {1'b0, tab_addr} < END", "tab_valid", ("y",)
    ),
    "matrix_unit: a column gets the activation of another tile": Broken(
        "matrix_unit", "matrix_unit.v", "col_valid && same_act && !(&in_flight)", "col_valid && !(&in_flight)", ("o",)
    ),
    "softmax: probabilities are cut off": Broken(
        "softmax", "softmax_exponent.v", "(power[14:8] ^ carry)", "power[14:8]", ("p",)
    ),
    "softmax: the next rows begin while their total's place is divided by": Broken(
        "softmax", "softmax.v", "step && !(x_pass ? owing : occupied)", "step && !(x_pass && owing)", ("s",)
    ),
    "softmax: a total is not shifted as the maximum rises": Broken(
        "softmax", "softmax_exponent.v", "assign rise = {5{!excess[7]}} &", "assign rise = 5'd0 &", ("s",)
    ),
    "softmax: a rise by 32 octaves keeps the total": Broken(
        "softmax", "softmax_exponent.v", " || excess[4:0] == 5'h1f", "", ("s",)
    ),
    "norm: negative halves round away from zero": Broken(
        "norm", "norm_round.v", "negative ? !twice[0] :", "negative ? 1'b0 :", ("y",)
    ),
    "norm: goes on while y is refused": Broken("norm", "norm.v", "y_ready || !y_valid", "1'b1", ("y",)),
    "eltwise: wraps instead of saturating": Broken(
        "eltwise",
        "eltwise_round.v",
        "over || (wide ? over_wide : over_byte)",
        "over && wide && over_wide && over_byte",
        ("y",),
    ),
    "eltwise: goes on while y is refused": Broken("eltwise", "eltwise.v", "y_ready || !y_valid", "1'b1", ("y",)),
    "eltwise: the shift is of the beat behind": Broken(
        "eltwise", "eltwise.v", "shift2  <= shift1", "shift2  <= shift0", ("y",)
    ),
    "vector_unit: rubbish behind a row's last column": Broken(
        "vector_unit", "vector_unit_pack.v", "padding ? 8'b0 : held", "held", ("w",)
    ),
    "vector_unit: done before the row scales": Broken(
        "vector_unit", "vector_unit.v", "packed_all && scales_due == 12'd0", "packed_all", ("rs", "done")
    ),
    "scratchpad: two ports get the same bank": Broken(
        "scratchpad",
        "scratchpad.v",
        "\n                       && !(r2_req_valid && r2_bank == r3_bank);",
        ";",
        ("r3_rsp",),
    ),
    "scratchpad: strobes are ignored": Broken(
        "scratchpad",
        "scratchpad.v",
        "w0_hit ? w0_strb : w1_hit ? w1_nibbles : w2_nibbles",
        "{2*T*D{1'b1}}",
        ("r0_rsp", "r1_rsp", "r2_rsp", "r3_rsp"),
    ),
    "scratchpad: a nibble takes its neighbour along": Broken(
        "scratchpad",
        "scratchpad.v",
        "w0_hit ? w0_strb :",
        "w0_hit ? w0_strb | {w0_strb[2*T*D-2:0], 1'b0} :",
        ("r0_rsp", "r1_rsp", "r2_rsp", "r3_rsp"),
    ),
    "load_unit: a compact bias loses its sign": Broken(
        "load_unit", "load_unit.v", "{12{entry[31]}}", "12'd0", ("local",)
    ),
    "load_unit: half of a compact row": Broken(
        "load_unit",
        "load_unit.v",
        "flags[COMPACT] ? {x_row_words[14:0], 1'b0} : x_row_words",
        "x_row_words",
        ("local",),
    ),
    "load_unit: a row is written to every row of its words": Broken(
        "load_unit", "load_unit.v", "!spread || lane == SELF[LANE_BITS-1:0]", "1'b1", ("local",)
    ),
    "load_unit: what is behind a row in its last beat is written": Broken(
        "load_unit", "load_unit.v", "!(&index) && !row_end", "!(&index)", ("local", "done", "r")
    ),
    "load_unit: a row of whole words' beats": Broken(
        "load_unit",
        "load_unit.v",
        "flags[SPREAD] ? more_spread : more_plain",
        "more_plain",
        ("local", "done", "ar", "r"),
    ),
    "load_unit: only the address must be aligned": Broken(
        "load_unit", "load_unit.v", " || x_dram_stride[LOW-1:0] != {LOW{1'b0}}", "", ("fault", "local")
    ),
    "load_unit: a burst crosses a page": Broken(
        "load_unit", "load_unit_addresses.v", "more[4:0] <= room", "more[4:0] >= 5'd0", ("ar",)
    ),
    "load_unit: a word is overwritten before it is taken": Broken(
        "load_unit", "load_unit.v", "(!full || (local_ready && !last_word && !keeps))", "1'b1", ("local",)
    ),
    "store_unit: done before the last response": Broken(
        "store_unit", "store_unit.v", "outstanding == 5'd0 && !aw_valid", "!aw_valid", ("done", "b")
    ),
    "store_unit: a failed write counts as done": Broken(
        "store_unit", "store_unit.v", "b_valid && b_resp != 2'b00", "1'b0", ("fault",)
    ),
    "store_unit: only the address must be aligned": Broken(
        "store_unit", "store_unit.v", " || x_dram_stride[LOW-1:0] != {LOW{1'b0}}", "", ("fault", "aw", "w")
    ),
    "sequencer: vector instructions are not waited for": Broken(
        "sequencer", "sequencer_queue.v", " || vector_lead[15]", "", ("load", "store", "matrix", "vector")
    ),
    "sequencer: one space too many": Broken(
        "sequencer", "sequencer_check.v", "x_space > 8'd3", "x_space > 8'd4", ("load", "finish")
    ),
    "sequencer: compact tables": Broken(
        "sequencer", "sequencer_check.v", "x_space != 8'd1 && x_space != 8'd2", "x_space == 8'd0", ("load", "finish")
    ),
    "sequencer: a row of parameters": Broken(
        "sequencer", "sequencer_check.v", "flags[SPREAD] && x_space != 8'd0", "1'b0", ("load", "finish")
    ),
    "control: starts while it runs": Broken("control", "control.v", "w_data[0] && !running", "w_data[0]", ("start",)),
    "control: the interrupt cannot be disabled": Broken("control", "control.v", "done && irq_enable", "done", ("irq",)),
}


def findings(broken: Broken, design: Design) -> list[Finding]:
    result = simulate.run(AtFirstPoint(design, broken.block), QUICK)
    assert result.passed == (not result.findings)
    return list(result.findings)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_block_fails_with_file_line_and_vector(name: str, spoiled: Callable[[dict[str, str]], Design]) -> None:
    broken = BROKEN[name]
    design = spoiled({broken.file: expert_text(broken.file, (broken.old, broken.new))})
    found = findings(broken, design)
    assert found, "the bench did not notice"
    first = found[0]
    assert (first.file, first.block) == (f"{broken.block}.v", broken.block)
    assert first.vector
    shown = first.message.split(": ")[1].split()[0]
    assert shown in broken.shows, str(first)
    lines = (design.folder / "rtl" / first.file).read_text().splitlines()
    assert f" {shown}_" in lines[first.line - 1], "the line declares the interface"


def test_the_gate_runs_a_row_of_the_highest_count_to_its_end(
    expert: Design, spoiled: Callable[[dict[str, str]], Design]
) -> None:
    whole = Context(simulators=("icarus",), jobs=1)
    share = replace(whole, transactions=whole.transactions // len(Candidate(expert, "load_unit").points()))
    wrong = ("x_row_words - 1'b1", "(x_row_words - 1'b1) ^ {7'd0, x_row_words[15], 8'd0}")
    design = spoiled({"load_unit.v": expert_text("load_unit.v", wrong)})
    found = simulate.run(AtFirstPoint(design, "load_unit"), share).findings
    assert [finding.message.split(" ")[0] for finding in found] == ["longest-row"]


def test_every_block_is_broken_once() -> None:
    assert {broken.block for broken in BROKEN.values()} == set(BLOCKS)


def thorough(design: Design, block: str) -> GateResult:
    """The gate on both simulators, with enough transactions for every point."""
    candidate = Candidate(design, block)
    points = len(candidate.points())
    return simulate.run(candidate, Context(transactions=THOROUGH * points))


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS)
def test_the_expert_passes_on_both_simulators(block: str, expert: Design) -> None:
    result = thorough(expert, block)
    assert result.passed, str(result.findings[0])
    assert result.metrics["transfers"] >= 2 * THOROUGH * len(contracts.load(block).bench_points)


VARIANTS = [(block, variant) for block in BLOCKS for variant in variants(block)]


@pytest.mark.slow
@pytest.mark.parametrize(("block", "variant"), VARIANTS)
def test_every_variant_passes_on_both_simulators(block: str, variant: str, tmp_path: Path) -> None:
    choices = {**defaults(), block: (variant, {})}
    result = thorough(render_design(tmp_path / "design", MANIFEST, choices), block)
    assert result.passed, str(result.findings[0])
