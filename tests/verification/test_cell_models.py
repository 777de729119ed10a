"""Cells as Verilog, from what a Liberty file says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from verification.cell_models import NoModel, expression, models
from verification.timing import LibertyFailed

LIBRARY = """
library(tiny) {
  /* a comment { with braces } */
  cell (NAND) {
    area : 1;
    pin(A) { direction : input; capacitance : 0.1; }
    pin(B) { direction : input; }
    pin(Y) { direction : output; function : "(!(A B))";
      timing() { related_pin : "A"; cell_rise(t) { values("0.1, 0.2", \\
        "0.3, 0.4"); } } }
  }
  cell ("FLOP") {
    ff (IQ, IQN) { next_state : "D"; clocked_on : "(!CK)"; clear : "(!R)"; }
    pin(CK) { direction : input; clock : true; }
    pin(D) { direction : input; }
    pin(R) { direction : input; }
    pin(Q) { direction : output; function : "IQ"; }
  }
  cell (LATCH) { latch (IQ, IQN) { enable : "E"; data_in : "D"; } pin(Q) { direction : output; function : "IQ"; } }
  cell (BUF) { pin(Y) { direction : output; function : "A"; three_state : "!E"; } }
  cell (ODD) { pin(Y) { direction : output; } }
}
"""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.lib"
    path.write_text(LIBRARY)
    return path


@pytest.mark.parametrize(
    ("function", "verilog"),
    [("(!(A B))", "(~(A&B))"), ("A*B+C", "A&B|C"), ("A'", "(~A)"), ("(A B)' C", "(~(A&B))&C"), ("!A !B", "~A&~B"),
     ("(A^B)", "(A^B)"), ("1", "1'b1")],
)  # fmt: skip
def test_functions(function: str, verilog: str) -> None:
    assert expression(function) == verilog


def test_models(library: Path) -> None:
    text = models(library, ["NAND", "FLOP", "NAND"])
    assert text.count("module NAND (input A, input B, output Y);") == 1
    assert "assign Y = (~(A&B));" in text
    assert "wire clocked_on = (~CK);" in text
    assert "always @(posedge clocked_on or posedge asynchronous_0)" in text
    assert "if (asynchronous_0) IQ <= 1'b0; else" in text


@pytest.mark.parametrize(("cell", "why"), [("LATCH", "latch"), ("BUF", "three_state"), ("ODD", "no function")])
def test_cells_without_a_model(cell: str, why: str, library: Path) -> None:
    with pytest.raises(NoModel, match=why):
        models(library, [cell])


def test_a_cell_the_library_lacks(library: Path) -> None:
    with pytest.raises(LibertyFailed, match="no cell XOR"):
        models(library, ["XOR"])
