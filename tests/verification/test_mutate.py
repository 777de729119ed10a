"""Faults planted in a block: a bench finds those that matter; those that change nothing are proved so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hwlib import contracts
from hwlib.design import EXPERT, read_design
from hwlib.errors import InputError
from verification import mutation_score, mutation_table
from verification.benches.scenario import Accept, Beat, Drive, Mismatch, Observed, Scenario, compare_stream
from verification.gates import prove
from verification.mutant_equivalence import equivalent, evident
from verification.mutate import Mutants, Mutation, faulty_files, plant, run_bench
from verification.mutation_score import Score, Survivor

EXPERT_DESIGN = read_design(EXPERT)
POINT = {"T": 2, "D": 1, "LANES": 1, "TABLES": 1}
BODY = """// activation: passes its data on, in the ports of a block that has a contract; twin is always what full is.
module activation #(parameter T = 2, parameter D = 1, parameter LANES = 1, parameter TABLES = 1) (
    input  wire           clk,
    input  wire           rst_n,
    input  wire           tab_valid,
    input  wire [15:0]    tab_addr,
    input  wire [8*T*D-1:0] tab_data,
    input  wire           x_valid,
    output wire           x_ready,
    input  wire [8*T-1:0] x_data,
    input  wire           x_en,
    input  wire [1:0]     x_table,
    output wire           y_valid,
    input  wire           y_ready,
    output reg  [8*T-1:0] y_data
);
    reg full, twin;
    assign x_ready = !full || y_ready;
    assign y_valid = full && twin;
    always @(posedge clk) begin
        if (!rst_n) full <= 1'b0;
        else if (x_ready) full <= x_valid;
        twin <= rst_n && (x_valid || (full && !y_ready));
        if (x_valid && x_ready) y_data <= x_data;
    end
endmodule
"""


@pytest.fixture(scope="module")
def mutants(tmp_path_factory: pytest.TempPathFactory) -> Mutants:
    path = tmp_path_factory.mktemp("rtl") / "activation.v"
    path.write_text(BODY)
    return plant([path], "activation", POINT, 12)


def _scenario() -> Scenario:
    values = [(index * 40503) & 0xFFFF for index in range(24)]
    beats = [Beat({"data": value, "en": 0, "table": 0}) for value in values]
    expected = [{"data": value} for value in values]

    def judge(seen: Observed) -> list[Mismatch]:
        return compare_stream("y", seen.transfers["y"], expected, [str(value) for value in values])

    agents = (Drive("x", beats, 0.3), Accept("y", 0.4), Drive("tab", [], 0.0))
    return Scenario("order", agents, {"y": len(values)}, judge, len(values), 400, 5)


def test_a_bench_finds_faults_of_one_build_one_by_one(mutants: Mutants) -> None:
    numbers = [mutation.number for mutation in mutants.mutations]
    assert numbers == list(range(1, len(numbers) + 1))
    killed = run_bench(mutants, [_scenario()], "icarus", numbers)
    assert len(killed) >= 8
    assert all(result.why for result in killed.values())
    assert all(m.source.startswith("activation.v:") for m in mutants.mutations if "-src" in m.command)
    assert not equivalent(mutants, mutants.mutations[min(killed) - 1])


def test_a_fault_without_effect_is_proved_so_and_one_with_is_not(mutants: Mutants) -> None:
    both = next(word for word in mutants.original.split() if word.startswith("$logic_and$activation.v:19"))

    def planted(mode: str) -> Mutation:
        return Mutation(1, f"mutate -mode {mode} -module activation -cell {both} -port B -portbit 0")

    assert equivalent(mutants, planted("const1"))
    assert not equivalent(mutants, planted("inv"))


@pytest.mark.parametrize(
    ("fault", "same"),
    [
        ("const0 -cell any -port A -portbit 0", True),
        ("const1 -cell any -port A -portbit 0", False),
        ("cnot1 -cell any -port A -portbit 1 -ctrlbit 2", True),
        ("cnot0 -cell any -port A -portbit 1 -ctrlbit 2", False),
        ("inv -cell any -port Y -portbit 0", False),
        ("inv -cell any -port Y -portbit 1", True),
    ],
)
def test_some_faults_evidently_change_nothing(fault: str, same: bool, mutants: Mutants, tmp_path: Path) -> None:
    cell = {"type": "$reduce_or", "port_directions": {"A": "input", "Y": "output"},
            "connections": {"A": ["0", 2, 3], "Y": [4, 5]}}  # fmt: skip
    module = {"ports": {"y": {"direction": "output", "bits": [4]}}, "cells": {"any": cell}}
    graph = tmp_path / "graph.json"
    graph.write_text(json.dumps({"modules": {"activation": module}}))
    mutation = Mutation(1, f"mutate -module activation -mode {fault}")
    assert evident(replace(mutants, graph=graph, mutations=(mutation,))) == ({1} if same else set())


@pytest.mark.parametrize(
    ("fault", "same"),
    [
        ("cnot1 -cell any -port A -portbit 2 -ctrlbit 0", True),
        ("cnot0 -cell any -port A -portbit 2 -ctrlbit 0", False),
        ("cnot0 -cell any -port A -portbit 2 -ctrlbit 1", True),
        ("cnot1 -cell any -port A -portbit 2 -ctrlbit 1", False),
        ("cnot1 -cell any -port A -portbit 0 -ctrlbit 2", False),
        ("inv -cell any -port A -portbit 2", False),
    ],
)
def test_a_comparison_with_a_constant_hides_what_changes_only_the_unequal(
    fault: str, same: bool, mutants: Mutants, tmp_path: Path
) -> None:
    cell = {"type": "$eq", "port_directions": {"A": "input", "B": "input", "Y": "output"},
            "connections": {"A": [2, 3, 4], "B": ["0", "1", 5], "Y": [6]}}  # fmt: skip
    module = {"ports": {"y": {"direction": "output", "bits": [6]}}, "cells": {"any": cell}}
    graph = tmp_path / "graph.json"
    graph.write_text(json.dumps({"modules": {"activation": module}}))
    mutation = Mutation(1, f"mutate -module activation -mode {fault}")
    assert evident(replace(mutants, graph=graph, mutations=(mutation,))) == ({1} if same else set())


def test_a_bench_that_the_block_itself_fails_is_refused(mutants: Mutants) -> None:
    broken = _scenario()
    wrong = Scenario("wrong", broken.agents, {"y": 99}, broken.judge, 24, 300, 5)
    with pytest.raises(InputError, match="without a fault does not pass"):
        run_bench(mutants, [wrong], "icarus", [1])


def _score(killed: int, *survivors: Survivor, block: str = "array") -> Score:
    bench, source = mutation_score.bench_digest(block), mutation_score.source_digest(EXPERT_DESIGN, block)
    return Score(block, bench, "tree", source, {}, killed + len(survivors), 1, killed, survivors, 1.0)


def test_shares_leave_out_what_is_proved_equivalent_or_held_to_be_so() -> None:
    fates = ("equivalent", "full", "sealed", "prove", "unproved", "open")
    score = _score(100, *(Survivor(str(n), fate) for n, fate in enumerate(fates)))
    assert (score.found, score.testable) == (103, 104)
    assert score.quick_share == pytest.approx(100 / 104)
    assert score.gates_share == pytest.approx(103 / 104)
    assert score.least_shares == pytest.approx((100 / 105, 103 / 105))


def test_a_recorded_score_says_when_bench_or_rtl_changed_since(tmp_path: Path) -> None:
    table = tmp_path / "scores.json"
    assert mutation_table.recorded("array", EXPERT_DESIGN, table) is None
    mutation_table.record([_score(9, Survivor("a", "full"))], table)
    found = mutation_table.recorded("array", EXPERT_DESIGN, table)
    assert found is not None
    assert (found.quick_share, found.gates_share, found.tree_hash, found.stale) == (0.9, 1.0, "tree", "")
    assert str(found) == "array 90.0%"
    kept = json.loads(table.read_text())
    for name, words in (("bench", "the bench changed since"), ("source", "the RTL it was graded with changed since")):
        table.write_text(json.dumps({"array": kept["array"] | {name: "another"}}))
        stale = mutation_table.recorded("array", EXPERT_DESIGN, table)
        assert stale is not None
        assert str(stale) == f"array 90.0% (stale: {words})"


def test_triaged_faults_of_the_table_count_apart(tmp_path: Path) -> None:
    table = tmp_path / "scores.json"
    fault = next(iter(mutation_score.triage("control")))
    mutation_table.record([_score(8, Survivor(fault, "unproved"), Survivor("b", "open"), block="control")], table)
    found = mutation_table.recorded("control", EXPERT_DESIGN, table)
    assert found is not None
    assert found.quick_share == pytest.approx(8 / 9)
    assert "unproved" not in table.read_text()


def test_every_triaged_fault_has_a_reason() -> None:
    for block in contracts.names():
        assert all(reason.strip() for reason in mutation_score.triage(block).values())


def test_a_fault_planted_for_good_breaks_a_property(mutants: Mutants, tmp_path: Path) -> None:
    """The files of a mutant stand for the block in a proof: with its valid tied low nothing is wrong, or a beat is."""
    kept = [prove.judge("activation", faulty_files(mutants, m, folder), POINT)
            for m in mutants.mutations if (folder := tmp_path / str(m.number)).mkdir() is None]  # fmt: skip
    states = [{outcome.state for _, outcome in found} for found in kept]
    assert any("violated" in each for each in states)
    assert any("violated" not in each for each in states)


def test_benches_differ_by_what_they_are_made_of() -> None:
    assert mutation_score.bench_digest("norm") != mutation_score.bench_digest("softmax")
