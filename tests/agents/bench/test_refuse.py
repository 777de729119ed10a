"""What a text may not say, and what it may."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.bench import Problem
from agents.bench.refuse import refusals
from agents.bench.verilog_eval import VerilogEval
from tests.agents.bench import suites


@pytest.fixture
def problem(tmp_path: Path) -> Problem:
    return VerilogEval().problems(suites.verilog_eval(tmp_path))[0]


REFUSED = {
    "$display": 'initial $display("x");',
    "$readmemh": 'reg [3:0] m [0:1]; initial $readmemh("f", m);',
    "`include": '`include "f"',
    "`ifdef": "`ifdef X\n`endif",
    "`define R": "`define R tb\n",
    "directive `x": "`define R 1\nassign y = `R``x;",
    "`define W: the bench": "`define samples 1\n",
    "foreign": 'import "DPI-C" function void f();',
    "a string": 'localparam S = """ " """; initial $finish; "x"',
    "a string that": 'localparam S = "\\";',
    "backslash": "wire \\tb ;",
    "'good.'": "assign y = good.y;",
    "'dut.'": "assign y = a[dut.y].x;",
    "'genblk1.'": "assign y = genblk1.y;",
    "a dot after": "assign y = f(a).y;",
    "module of the bench": "stimulus s (y, y);",
    "task, function": "initial step;",
    "word 'bind'": "bind tb evil e ();",
    "word 'tran'": "tran t (a[0], y[0]);",
    "word 'force'": "initial force y = 0;",
}


@pytest.mark.parametrize("word", REFUSED)
def test_refused(problem: Problem, word: str) -> None:
    said = refusals(f"{suites.HEAD}{REFUSED[word]}\nendmodule\n", problem)
    assert any(word.replace("W: ", "samples: ") in line for line in said), said


@pytest.mark.parametrize(
    "text",
    [
        "module TopModule (output [3:0] a, output [3:0] y);\nendmodule\n",
        "module TopModule (a, y);\ninout [3:0] a;\noutput [3:0] y;\nendmodule\n",
        "module TopModule (input [3:0] a, output [3:0] y);\nassign (strong1, pull0) a = 4'bx;\nendmodule\n",
        "module TopModule (.a(b), .y(y));\noutput [3:0] b, y;\nendmodule\n",
    ],
)
def test_driving_an_input_is_refused(problem: Problem, text: str) -> None:
    assert refusals(text, problem)


def test_ordinary_texts_are_not_refused(problem: Problem) -> None:
    text = """`timescale 1ns/1ps
`default_nettype wire
`define DEPTH 8'h1_0  // $display("in a comment") tb.wrong
module part #(parameter W = 4) (input [W-1:0] x, output [W-1:0] z);
  typedef struct packed { logic [1:0] high; logic [1:0] low; } pair;
  pair p;
  assign p = x;
  assign z = {p.low, p.high} + $clog2(`DEPTH);
  function automatic [3:0] f(input [3:0] b); f = b; endfunction
endmodule
module TopModule (input [3:0] a, output [3:0] y);
  reg [3:0] state = 4'b0;
  always @(*) begin : mend state = $signed(a) >>> 1; end
  wire [15:0] near;
  localparam NAME = "plain";
  assign near[a] = 1'b0;
  part #(.W(4)) one (.x(state), .z(y));
endmodule
"""
    assert refusals(text, problem) == []
