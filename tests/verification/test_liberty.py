"""A Liberty file that is no good is named as what is wrong, and refuses no design."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwlib.design import Design
from hwlib.tech import Technology, technology
from verification import timing
from verification.gates import Candidate, Context, synthesise
from verification.synthesize import synthesize

INVERTER = 'cell(INV) { area : 1; pin(A) { direction : input; } pin(Y) { direction : output; function : "!A"; } }'
REGISTER = "module one(input wire clk, input wire d, output reg q);\n    always @(posedge clk) q <= !d;\nendmodule\n"
BAD = {
    "no Liberty": ("bad.lib", b"area of cells: unknown", "Syntax error in liberty file on line 1"),
    "empty": ("bad.lib", b"", "No entries found in liberty file"),
    "no flip-flop": ("bad.lib", f"library(x) {{ {INVERTER} }}".encode(), "flip-flops are not supported"),
    "not packed": ("bad.lib.gz", b"library(x) {}", "Not a gzipped file"),
}


@pytest.fixture
def bad(tmp_path: Path, request: pytest.FixtureRequest) -> Technology:
    name, data, _ = BAD[request.param]
    (tmp_path / name).write_bytes(data)
    return technology(str(tmp_path / name))


@pytest.mark.parametrize(("bad", "says"), [(name, case[2]) for name, case in BAD.items()], indirect=["bad"])
def test_the_file_is_named(bad: Technology, says: str, tmp_path: Path) -> None:
    (tmp_path / "one.v").write_text(REGISTER)
    with pytest.raises(timing.LibertyFailed) as caught:
        synthesize([tmp_path / "one.v"], "one", {}, bad, 8.0, 1)
    assert str(caught.value).startswith(f"{bad.liberty}: ")
    assert says in str(caught.value)
    assert "RTL" not in str(caught.value)


@pytest.mark.parametrize("bad", ["no Liberty"], indirect=True)
def test_no_design_is_refused_for_it(bad: Technology, expert: Design, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise timing.LibertyFailed("Syntax error", str(bad.liberty))

    monkeypatch.setattr(synthesise, "synthesize", fail)
    with pytest.raises(timing.LibertyFailed):
        synthesise.run(Candidate(expert), Context(technology=bad))
