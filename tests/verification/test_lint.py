"""The lint gate finds what simulators and synthesis would disagree on, and says where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from hwlib import contracts
from hwlib.design import Design, with_parameters
from tests.verification.conftest import AtFirstPoint, expert_text
from verification.gates import Candidate, Context, Finding, lint

Make = Callable[[dict[str, str]], Design]
END = "endmodule"
LINES = expert_text("requantizer.v").splitlines()
FIRST = next(number for number, line in enumerate(LINES, 1) if line.startswith(END))
"""The line the added text begins on."""


@dataclass(frozen=True)
class Bad:
    """Text added before `endmodule`, a word of the finding, and the line it names (0: none known)."""

    text: str
    word: str
    line: int = FIRST


BAD = {
    "unused": Bad("    wire idle = x_valid;", "UNUSED"),
    "width": Bad(
        "    wire [3:0] wide = x_mult;\n    wire used = &wide;\n    always @(posedge clk) if (used) full <= 1'b0;",
        "WIDTH",
    ),
    "latch": Bad("    reg held;\n    always @* if (x_valid) held = y_ready;\n    wire z = held;", "LATCH", FIRST + 1),
    "blocking": Bad("    reg other;\n    always @(posedge clk) other = other ^ x_valid;", "BLKSEQ", FIRST + 1),
    "undriven": Bad("    wire none;\n    wire some = none;", "UNDRIVEN"),
    "unknown": Bad("    wire [1:0] two = nothing[1:0];", "nothing"),
    "pin": Bad("    requantizer_lane u_bad (.clk(clk), .clok(clk));", "clok"),
}

INVERTER = """// requantizer_wire.
module requantizer_wire (
    input  wire i,
    output wire o
);
    assign o = !i;
endmodule
"""


@pytest.fixture
def judged(spoiled: Make) -> Callable[..., list[Finding]]:
    def judge(text: str, files: dict[str, str] | None = None) -> list[Finding]:
        changed = expert_text("requantizer.v", (f"\n{END}", f"\n{text}\n{END}"))
        result = lint.run(Candidate(spoiled({"requantizer.v": changed} | (files or {})), "requantizer"), Context())
        assert result.passed == (not result.findings)
        return list(result.findings)

    return judge


@pytest.mark.parametrize("block", contracts.names())
def test_the_expert_passes(block: str, expert: Design) -> None:
    result = lint.run(AtFirstPoint(expert, block), Context())
    assert (result.passed, result.findings) == (True, ())


CORNERS = ({"T": 8, "D": 1, "AXI_BYTES": 4}, {"T": 16, "D": 16, "AXI_BYTES": 32}, {"T": 2, "D": 64, "ACT_LANES": 2})
"""Ends of the array's range (tests/benchmarks/corners.py has more)."""


@pytest.mark.parametrize("parameters", CORNERS, ids=str)
def test_the_whole_expert_passes_at_the_ends_of_its_range(parameters: dict[str, int], expert: Design) -> None:
    design = with_parameters(expert, **parameters)
    assert lint.verilator(Candidate(design), design.manifest.parameters) == []


@pytest.mark.parametrize("name", sorted(BAD))
def test_findings_name_file_and_line(name: str, judged: Callable[..., list[Finding]]) -> None:
    found = judged(BAD[name].text)
    assert any(BAD[name].word in f.message for f in found), [str(f) for f in found]
    assert ("requantizer.v", BAD[name].line) in [(f.file, f.line) for f in found], [str(f) for f in found]


def test_a_loop_through_two_modules(judged: Callable[..., list[Finding]]) -> None:
    """Each module alone is sound; only the flattened design shows the loop."""
    wires = "    wire a, b;\n    requantizer_wire u_a (.i(b), .o(a));\n    requantizer_wire u_b (.i(a), .o(b));"
    found = judged(wires, {"requantizer_wire.v": INVERTER})
    assert any("loop" in f.message or "UNOPTFLAT" in f.message for f in found), [str(f) for f in found]
    assert all(f.file in ("requantizer.v", "requantizer_wire.v") and f.line for f in found), [str(f) for f in found]


def test_two_drivers_in_two_instances(judged: Callable[..., list[Finding]]) -> None:
    wires = (
        "    wire a;\n    requantizer_wire u_a (.i(x_valid), .o(a));\n    requantizer_wire u_b (.i(y_ready), .o(a));\n"
    )
    wires += (
        "    reg seen;\n    always @(posedge clk) seen <= a;\n    always @(posedge clk) if (seen && a) full <= 1'b0;"
    )
    found = judged(wires, {"requantizer_wire.v": INVERTER})
    assert any("drive" in f.message.lower() for f in found), [str(f) for f in found]


def test_other_blocks_answer_for_their_own_text(spoiled: Make) -> None:
    """A warning in the requantizer is not held against the matrix unit that instantiates it."""
    text = expert_text("requantizer.v", (f"\n{END}", f"\n{BAD['unused'].text}\n{END}"))
    design = spoiled({"requantizer.v": text})
    assert lint.run(Candidate(design, "matrix_unit"), Context()).findings == ()
