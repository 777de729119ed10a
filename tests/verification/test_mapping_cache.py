"""A mapping is kept for what was mapped: source text and parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwlib.tech import technology
from verification.synthesize import synthesize_block

TEXT = """// norm: registers of W bits, in place of the block of that name.
module norm #(
    parameter W = 4
) (
    input  wire         clk,
    input  wire [W-1:0] d,
    output reg  [W-1:0] q
);
    always @(posedge clk) q <= d;
endmodule
"""


def test_the_same_block_at_other_parameters_is_mapped_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTLOOM_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "norm.v"
    file.write_text(TEXT)
    tech = technology("osu018")
    areas = [synthesize_block((file,), "norm", {"W": width}, tech, 8.0).area_um2 for width in (4, 8, 4)]
    assert areas[1] == pytest.approx(2 * areas[0])
    assert areas[2] == areas[0]
