"""Faults planted in a block: a bench finds those that matter; those that change nothing are proved so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hwlib.errors import InputError
from verification import mutation_score
from verification.benches.scenario import Accept, Beat, Drive, Mismatch, Observed, Scenario, compare_stream
from verification.mutant_equivalence import equivalent, evident
from verification.mutate import Mutants, Mutation, plant, run_bench
from verification.mutation_score import Score, Survivor

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


def test_a_bench_that_the_block_itself_fails_is_refused(mutants: Mutants) -> None:
    broken = _scenario()
    wrong = Scenario("wrong", broken.agents, {"y": 99}, broken.judge, 24, 300, 5)
    with pytest.raises(InputError, match="without a fault does not pass"):
        run_bench(mutants, [wrong], "icarus", [1])


def test_shares_leave_out_what_is_proved_equivalent() -> None:
    survivors = (Survivor("a", "equivalent"), Survivor("b", "full"), Survivor("c", "open"))
    score = Score("array", "0", {}, 103, 1, 100, survivors, 1.0)
    assert (score.equivalent, score.full) == (1, 101)
    assert score.quick_share == pytest.approx(100 / 102)
    assert score.full_share == pytest.approx(101 / 102)


def test_a_recorded_score_serves_only_the_bench_it_was_measured_with(tmp_path: Path) -> None:
    table = tmp_path / "scores.json"
    assert mutation_score.recorded("array", table) is None
    score = Score("array", mutation_score.bench_digest("array"), {}, 10, 1, 9, (), 1.0)
    mutation_score.record([score], table)
    assert mutation_score.recorded("array", table) == pytest.approx(0.9)
    kept = json.loads(table.read_text())
    kept["array"]["bench"] = "another"
    table.write_text(json.dumps(kept))
    assert mutation_score.recorded("array", table) is None


def test_benches_differ_by_what_they_are_made_of() -> None:
    assert mutation_score.bench_digest("norm") != mutation_score.bench_digest("softmax")
