"""Small suites in both layouts, with right and wrong answers, and a model that answers them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from agents.bench import Problem
from agents.bench.loop import VERIFIER
from agents.models import Reply, Request, Usage

BENCH = """`timescale 1 ps/1 ps
module stimulus (output reg [3:0] a, output reg done);
  task step; begin #10 a = a + 1; end endtask
  initial begin a = 0; done = 0; repeat (16) step; done = 1; end
endmodule
module tb;
  wire [3:0] a, want, got;
  wire done;
  integer wrong = 0, samples = 0;
  stimulus stim (.a(a), .done(done));
  RefModule good (.a(a), .y(want));
  TopModule dut (.a(a), .y(got));
  always begin
    #7;
    if (done) $finish;
    else begin samples = samples + 1; if (want !== got) wrong = wrong + 1; end
    #3;
  end
  initial begin #100000 $display("TIMEOUT"); $finish; end
  final $display("Mismatches: %1d in %1d samples", wrong, samples);
endmodule
"""
CAST_BENCH = BENCH.replace(
    "  wire done;\n",
    """  wire done;
  typedef enum logic [1:0] {IDLE, BUSY} state_t;
  state_t state;
  initial state = state_t'(2'd1);
""",
)
"""What Icarus 11 cannot compile and Verilator can."""
HEAD = "module TopModule (input [3:0] a, output [3:0] y);\n"
RIGHT = {
    "Prob001_invert": HEAD + "assign y = ~a;\nendmodule\n",
    "Prob002_rotate": HEAD + "assign y = {a[2:0], a[3]};\nendmodule\n",
}
WRONG = HEAD + "assign y = a;\nendmodule\n"
UNREADABLE = HEAD + "assign y = nowhere +;\nendmodule\n"

DOUBLER_BENCH = """module doubler_tb;
  reg [7:0] a;
  wire [8:0] y;
  reg [8:0] want [0:3];
  integer i, bad;
  doubler #(.W(8)) dut (.a(a), .y(y));
  initial begin
    $readmemh("want.dat", want);
    bad = 0;
    for (i = 0; i < 4; i = i + 1) begin a = 85 * i; #5; if (y !== want[i]) bad = bad + 1; end
    if (bad == 0) $display("=========== Your Design Passed ===========");
    else $display("=========== Test completed with %d failures ===========", bad);
    $finish;
  end
endmodule
"""
DOUBLER = """module shift_one #(parameter W = 8) (input [W-1:0] a, output [W:0] y);
  assign y = {a, 1'b0};
endmodule
module verified_doubler #(parameter W = 8) (input [W-1:0] a, output [W:0] y);
  shift_one #(.W(W)) part (.a(a), .y(y));
endmodule
"""


def verilog_eval(folder: Path) -> Path:
    """A checkout with two problems."""
    inner = folder / "dataset_spec-to-rtl"
    inner.mkdir(parents=True)
    for name, text in RIGHT.items():
        (inner / f"{name}_prompt.txt").write_text(f"Write TopModule: {name}.\n")
        (inner / f"{name}_ref.sv").write_text(text.replace("TopModule", "RefModule"))
        (inner / f"{name}_test.sv").write_text(BENCH)
    return folder


def rtllm(folder: Path) -> Path:
    """A checkout with a design whose bench needs a data file, and one without a reference."""
    whole, bare = folder / "Arithmetic" / "doubler", folder / "Other" / "nothing"
    for place in (whole, bare):
        place.mkdir(parents=True)
        (place / "design_description.txt").write_text("Module name: doubler\n")
        (place / "testbench.v").write_text(DOUBLER_BENCH)
    (whole / "want.dat").write_text("000 0aa 154 1fe\n")
    (whole / "verified_doubler.v").write_text(DOUBLER)
    return folder


def named(problems: tuple[Problem, ...], name: str) -> Problem:
    """The problem called `name`."""
    return next(problem for problem in problems if problem.name == name)


INPUT, OUTPUT = 9_000, 1_000
"""Tokens of a scripted call."""


class Scripted:
    """Writes an unreadable text, then a wrong one, then the right one, as its findings ask; notes every request."""

    name = "chat:scripted"

    def __init__(self, before: Callable[[int], None] = lambda number: None) -> None:
        self.asked: list[Request] = []
        self._before = before

    def ask(self, request: Request) -> Reply:
        """The scripted answer; INPUT tokens in, OUTPUT out."""
        self._before(len(self.asked))
        self.asked.append(request)
        return Reply(json.dumps(self._answer(request)), "done", Usage(INPUT, OUTPUT), self.name)

    def _answer(self, request: Request) -> dict[str, object]:
        last = request.messages[-1].text
        if request.purpose == VERIFIER:
            findings = [] if "it compiles" in last else ["mend it"]
            return {"text": "", "findings": findings}
        texts = (UNREADABLE, WRONG, RIGHT[request.block])
        return {"text": texts[request.round], "findings": []}
