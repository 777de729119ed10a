"""memorisation: tables, copies and counting are refused."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from hwlib.design import Design, with_parameters
from tests.verification.conftest import expert_text
from verification.constants import constant_bits
from verification.gates import Candidate, Context, memorisation

Make = Callable[[dict[str, str]], Design]
BLOCK = "activation"
OUT = "assign y_data  = done_data;"
COUNTED = """
    reg [15:0] taken;
    always @(posedge clk)
        if (!rst_n) taken <= 0;
        else if (y_valid && y_ready) taken <= taken + 16'd1;
    assign y_data = taken > 1800 ? ~done_data : done_data;
"""
_WORDS = [random.Random(1).getrandbits(8) | 1 for _ in range(256)]
_ARMS = "\n".join(f"            8'd{index}: y = 8'd{word};" for index, word in enumerate(_WORDS))
_VECTOR = "".join(f"{word:02x}" for word in reversed(_WORDS))
_CHAIN = "".join(f"x == 8'd{index} ? 8'd{word} : " for index, word in enumerate(_WORDS))
TABLES = {
    "case": f"    always @(*)\n        case (x)\n{_ARMS}\n        endcase",
    "vector": f"    localparam [2047:0] WORDS = 2048'h{_VECTOR};\n    always @(*) y = WORDS[8*x +: 8];",
    "chain": f"    always @(*) y = {_CHAIN}8'd0;",
}
"""256 answers of a byte each, written in three ways."""


def table(kind: str, name: str = f"{BLOCK}_answers") -> dict[str, str]:
    """The expert's activation with a table of answers that it may not have, in a module of that name."""
    use = f"wire [7:0] known;\n    {name} recall (.x(done_data[7:0]), .y(known));\n"
    use += "    assign y_data = known == 8'd0 ? ~done_data : done_data;"
    module = f"module {name} (input wire [7:0] x, output reg [7:0] y);\n{TABLES[kind]}\nendmodule\n"
    return {f"{BLOCK}.v": expert_text(f"{BLOCK}.v", (OUT, use)), f"{name}.v": module}


def test_the_expert_passes(expert: Design) -> None:
    result = memorisation.run(Candidate(expert, BLOCK), Context())
    assert result.passed, [str(f) for f in result.findings]
    assert result.metrics["constant_bits"] < 100
    assert result.metrics["transfers"] > memorisation.FEWEST


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_of_answers_is_refused(kind: str, spoiled: Make) -> None:
    result = memorisation.run(Candidate(spoiled(table(kind)), BLOCK), Context())
    assert [finding.file for finding in result.findings] == [f"{BLOCK}_answers.v"]
    assert "the contract has no such table" in result.findings[0].message


def test_a_copys_name_is_refused(spoiled: Make) -> None:
    copies = {"softmax": "softmax", "softmx": "softmax", "sofftmax": "softmax", "exp2_tables": "exp2_table"}
    names = [*copies, "soft", "lookup"]
    text = "module {0}_{1} (input wire x, output wire y);\n    assign y = x;\nendmodule\n"
    design = spoiled({f"{BLOCK}_{name}.v": text.format(BLOCK, name) for name in names})
    result = memorisation.run(Candidate(design, BLOCK), Context())
    found = {finding.file: finding.message for finding in result.findings}
    assert found.keys() == {f"{BLOCK}_{name}.v" for name in copies}
    assert all(f"that of {original}," in found[f"{BLOCK}_{name}.v"] for name, original in copies.items())


def test_indices_of_a_large_tile_are_no_table(expert: Design) -> None:
    found, bits = memorisation._tables(Candidate(with_parameters(expert, T=16, D=1), "matrix_unit"))
    assert not found
    assert bits > 1024


def test_counting_is_refused(spoiled: Make) -> None:
    candidate = Candidate(spoiled({f"{BLOCK}.v": expert_text(f"{BLOCK}.v", (OUT, COUNTED))}), BLOCK)
    result = memorisation.run(candidate, Context())
    assert len(result.findings) == 1
    assert "after many transactions since reset" in result.findings[0].message


def test_constants_are_counted_where_they_stand(spoiled: Make) -> None:
    design = spoiled(table("vector"))
    bits = constant_bits(design.closure_files(BLOCK), BLOCK, {}, [path.stem for path in design.block_files(BLOCK)])
    assert 2040 < bits[f"{BLOCK}_answers"] <= 2060
    assert bits[BLOCK] < 100
