"""netlist: what would be made does what the contract says, whatever simulators were shown."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hwlib.design import Design
from tests.verification.conftest import expert_text
from verification.gates import Candidate, Context, netlist, simulate

Make = Callable[[dict[str, str]], Design]
BLOCK = "activation"
OUT = "assign y_data  = done_data;"
ONE = "{{(8*T-1){1'b0}}, 1'b1}"
FACES = {
    "macro": f"""
`ifdef YOSYS
    assign y_data = done_data ^ {ONE};
`else
    {OUT}
`endif
""",
    "comment": f"""
    reg [8*T-1:0] shown;
    always @(done_data) begin
        shown = done_data ^ {ONE};
        // synthesis translate_off
        shown = done_data;
        // synthesis translate_on
    end
    assign y_data = shown;
""",
}
"""Two faces: right for simulators, wrong in the lowest bit for synthesis."""


def test_the_experts_netlist_passes(expert: Design) -> None:
    result = netlist.run(Candidate(expert, BLOCK), Context())
    assert result.passed, [str(f) for f in result.findings]
    assert result.metrics["cells"] > 100
    assert result.metrics["transfers"] > netlist.TRANSACTIONS


@pytest.mark.parametrize("face", FACES)
def test_two_faces_are_seen(face: str, spoiled: Make) -> None:
    candidate = Candidate(spoiled({f"{BLOCK}.v": expert_text(f"{BLOCK}.v", (OUT, FACES[face]))}), BLOCK)
    assert simulate.run(candidate, Context(transactions=20, simulators=("icarus",), jobs=1)).passed
    result = netlist.run(candidate, Context())
    assert not result.passed
    found = result.findings[0]
    assert found.message.startswith("its netlist in ")
    assert found.expected != found.got


def test_a_latch_is_no_netlist_to_simulate(spoiled: Make) -> None:
    latch = "reg [8*T-1:0] kept;\n    always @(*) if (done) kept = done_data;\n    assign y_data = kept;"
    result = netlist.run(Candidate(spoiled({f"{BLOCK}.v": expert_text(f"{BLOCK}.v", (OUT, latch))}), BLOCK), Context())
    assert not result.passed
    assert "LATCH" in str(result.findings[0])


@pytest.mark.slow
@pytest.mark.parametrize("block", ["matrix_unit", "vector_unit"])
def test_a_block_around_others_passes(block: str, expert: Design) -> None:
    result = netlist.run(Candidate(expert, block), Context())
    assert result.passed, [str(f) for f in result.findings]
