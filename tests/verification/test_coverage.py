"""Functional coverage counts what a contract asks for; line and toggle coverage see what a bench leaves out."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from hwlib import contracts
from hwlib.contracts.schema import Contract, Coverage
from hwlib.design import EXPERT, Design, read_design
from hwlib.errors import InputError
from hwlib.isa import Instruction, encode
from verification import coverage, line_coverage
from verification.benches.scenario import Observed, Seen
from verification.coverage import RESET
from verification.gates import Candidate, Context, simulate


def observed(
    waits: dict[str, int] | None = None, before: dict[str, int] | None = None, **beats: list[Seen]
) -> Observed:
    return Observed(beats, {}, {}, [], 10, True, waits or {}, before)


def with_bins(block: str, of: str, **bins: str) -> Contract:
    return contracts.load(block).model_copy(update={"coverage": [Coverage(of=of, bins=bins)]})


def op(cycle: int, first: int, last: int) -> Seen:
    return Seen(cycle, {"a": 0, "b": 0, "first": first, "last": last})


def test_bins_are_counted_from_beats_and_the_beats_before_them() -> None:
    contract = with_bins("array", "op", single="first and last", after="was_last and not first", wide="a >> 8*T*D == 0")
    run = observed(op=[op(0, 1, 1), op(1, 0, 1), op(3, 0, 0)])
    hits = coverage.count(contract, {"T": 2, "D": 4}, [run])
    assert (hits["op: single"], hits["op: after"], hits["op: wide"]) == (1, 2, 3)
    assert hits["op: after a pause"] == 1


def test_refusals_and_resets_are_bins_of_every_block() -> None:
    contract = with_bins("array", "op")
    assert set(coverage.bins(contract)) == {"acc: refused", "op: after a pause", RESET}
    assert coverage.count(contract, {}, [observed()]) == {}
    hits = coverage.count(contract, {}, [observed({"acc": 2}, {"op": 3})])
    assert dict(hits) == {"acc: refused": 1, RESET: 1}


def test_a_reset_before_anything_passed_is_none_in_mid_flight() -> None:
    assert RESET not in coverage.count(with_bins("array", "op"), {}, [observed(before={})])


def test_instructions_are_seen_by_operand_flag_and_wait() -> None:
    contract = with_bins("load_unit", "cmd", many="rows > 1", held="0 < wait_store < 9", load="op == 'LOAD'", act="act")
    word = encode(Instruction("LOAD", {"rows": 5, "row_words": 1}, frozenset(), (0, 3, 0, 0)))
    hits = coverage.count(contract, {}, [observed(cmd=[Seen(0, {"instr": word}), Seen(1, {"instr": 0})])])
    assert dict(hits) == {"cmd: many": 1, "cmd: held": 1, "cmd: load": 1}


@pytest.mark.parametrize(
    ("text", "said"), [("first +", "invalid syntax"), ("open('x')", "Call"), ("first.real", "Attribute")]
)
def test_a_bin_that_is_no_expression_of_a_beat_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        coverage.count(with_bins("array", "op", bad=text), {}, [observed(op=[op(0, 1, 1)])])


def test_every_contract_with_a_bench_declares_bins_of_its_own_interfaces() -> None:
    for name in contracts.names():
        contract = contracts.load(name)
        assert {group.of for group in contract.coverage} <= {i.name for i in contract.interfaces}
        assert bool(contract.coverage) == (name != "top")


def test_the_gate_reports_bins_and_those_never_met(expert: Design) -> None:
    result = simulate.run(Candidate(expert, "activation"), Context(transactions=60, simulators=("icarus",)))
    assert result.metrics["bins"] == len(coverage.bins(contracts.load("activation")))
    assert result.metrics["bins_met"] + len(result.metrics["bins_missed"]) == result.metrics["bins"]
    assert result.metrics["bins_met"] > 8


@pytest.mark.slow
@pytest.mark.parametrize("block", [name for name in contracts.names() if name != "top"])
def test_the_benches_meet_every_bin_on_the_expert(block: str, expert: Design) -> None:
    """A bin never met is a hole in the bench, or a bin that cannot be met."""
    result = simulate.run(Candidate(expert, block), Context(simulators=("verilator",)))
    assert result.passed
    assert result.metrics["bins_missed"] == []


BODY = """// activation: passes its data on; what `en` selects is never the other way.
module activation #(parameter T = 4, parameter D = 4, parameter LANES = 1, parameter TABLES = 2) (
    input  wire clk, input wire rst_n, input wire tab_valid, input wire [15:0] tab_addr,
    input  wire [8*T*D-1:0] tab_data, input wire x_valid, output wire x_ready, input wire [8*T-1:0] x_data,
    input  wire x_en, input wire [1:0] x_table, output reg y_valid, input wire y_ready, output reg [8*T-1:0] y_data
);
    assign x_ready = !y_valid || y_ready;
    reg never;
    always @(posedge clk) begin
        if (!rst_n)
            y_valid <= 1'b0;
        else if (x_ready)
            y_valid <= x_valid;
        if (!rst_n)
            never <= 1'b0;
        if (x_valid && x_ready) begin
            if (never)
                y_data <= 0;
            else
                y_data <= x_data;
        end
    end
endmodule
"""


def test_lines_and_bits_that_nothing_reaches_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rtl").mkdir()
    (tmp_path / "rtl" / "activation.v").write_text(BODY)
    (tmp_path / "design.yaml").write_text((EXPERT / "design.yaml").read_text())
    plain = line_coverage.simulate.bench("activation")

    def copies(point: dict[str, int], seed: int, transactions: int) -> list[object]:
        scenario = plain(point, seed, transactions)[0]
        return [scenario.__class__(**{**vars(scenario), "judge": lambda seen: []})]

    monkeypatch.setattr(line_coverage.simulate, "bench", lambda block: copies)
    data = line_coverage.measure(read_design(tmp_path), "activation", 20).to_data()
    dead = BODY.splitlines().index("            if (never)") + 1
    assert any(line.startswith(f"activation.v:{dead}: if") for line in data["lines_missed"])
    assert any("never" in line for line in data["toggles_missed"])
    assert 0 < data["lines_met"] < data["lines"]
    assert 0 < data["toggle_share"] < 1


def test_coverage_of_an_unknown_block_is_refused() -> None:
    from agents.cli import application, run

    assert CliRunner().invoke(application(), ["coverage", "--help"]).exit_code == 0
    assert run(["coverage", "expert", "--block", "nothing"]) == 2
