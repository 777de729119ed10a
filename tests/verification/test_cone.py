"""The registers in front of a port, by name and place; two modules and generated copies."""

from __future__ import annotations

from pathlib import Path

import pytest

from verification.cone import Register, registers
from verification.yosys import YosysFailed

LANE = """module lane (input wire clk, input wire [7:0] x, output wire [7:0] y);
    reg [7:0] taken;
    reg [7:0] turned;
    assign y = turned + 8'd1;
    always @(posedge clk) begin
        taken  <= x;
        turned <= ~taken;
    end
endmodule
"""
TOP = """module lanes #(parameter N = 2) (
    input  wire           clk,
    input  wire [8*N-1:0] x,
    output wire           ready,
    output wire [8*N-1:0] y
);
    reg [3:0] count;
    assign ready = count == 0;
    always @(posedge clk)
        count <= count + 1'b1;
    genvar i;
    generate
        for (i = 0; i < N; i = i + 1) begin : row
            lane one (.clk(clk), .x(x[8*i +: 8]), .y(y[8*i +: 8]));
        end
    endgenerate
endmodule
"""


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    for name, text in (("lanes", TOP), ("lane", LANE)):
        (tmp_path / f"{name}.v").write_text(text)
    return [tmp_path / "lanes.v", tmp_path / "lane.v"]


def test_registers_are_told_as_far_as_two_cycles_back_and_copies_once(files: list[Path]) -> None:
    assert registers(files, "lanes", {"N": 4}, ["y"]) == (
        Register(0, "lane.v", 3, "row[*].one.turned"),
        Register(1, "lane.v", 2, "row[*].one.taken"),
    )


def test_a_port_has_its_own_registers_alone(files: list[Path]) -> None:
    assert registers(files, "lanes", {"N": 2}, ["ready"]) == (Register(0, "lanes.v", 7, "count"),)


def test_a_port_of_inputs_alone_has_none(tmp_path: Path) -> None:
    path = tmp_path / "wires.v"
    path.write_text("module wires (input wire a, input wire clk, output wire y);\nassign y = !a && clk;\nendmodule\n")
    assert registers([path], "wires", {}, ["y"]) == ()


def test_a_memory_is_a_register_and_so_is_what_addresses_it(tmp_path: Path) -> None:
    path = tmp_path / "queue.v"
    path.write_text(
        """module queue (input wire clk, input wire [7:0] x, input wire push, output wire [7:0] y);
    reg [7:0] words [0:3];
    reg [1:0] at;
    assign y = words[at];
    always @(posedge clk) begin
        if (push) words[at] <= x;
        at <= at + 1'b1;
    end
endmodule
"""
    )
    found = registers([path], "queue", {}, ["y"])
    assert {(each.name, each.line, each.before) for each in found} == {("words[*]", 0, 0), ("at", 3, 0)}


def test_no_port_has_no_registers(files: list[Path]) -> None:
    assert registers(files, "lanes", {"N": 2}, []) == ()


def test_a_text_that_cannot_be_read_is_refused(files: list[Path]) -> None:
    files[1].write_text("module lane (\n")
    with pytest.raises(YosysFailed):
        registers(files, "lanes", {"N": 2}, ["y"])
