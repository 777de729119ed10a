"""Verilator models: parameters and harness are the caller's, a refusal has a place, a model is built once."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from verification import sandbox, verilate
from verification.build import BuildFailed

MAIN = """#include "Vtop.h"
#include <cstdio>
double sc_time_stamp() { return 0; }
int main() { Vtop top; top.a = 3; top.eval(); std::printf("%d\\n", int(top.y)); return 0; }
"""
HARNESS = verilate.Harness({"main.cpp": MAIN})
MULTIPLY = """module times #(
    parameter N = 2
) (
    input  wire [7:0] a,
    output wire [7:0] y
);
    assign y = a * N[7:0];
endmodule
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "times.v"
    path.write_text(MULTIPLY)
    return path


def test_a_model_has_its_parameters_and_is_built_once(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = [verilate.build([source], "times", {"N": n}, HARNESS) for n in (5, 7)]
    printed = [subprocess.run([path], capture_output=True, text=True, check=True).stdout for path in built]
    assert printed == ["15\n", "21\n"]

    def refuse(*_: object, **__: object) -> sandbox.Completed:
        raise AssertionError("built again")

    monkeypatch.setattr(sandbox, "run", refuse)
    assert verilate.build([source], "times", {"N": 5}, HARNESS) == built[0]
    source.write_text(MULTIPLY.replace("a * N", "a + N"))
    with pytest.raises(AssertionError, match="built again"):
        verilate.build([source], "times", {"N": 5}, HARNESS)


@pytest.mark.parametrize(
    ("old", "new", "line"), [("assign y", "assing y", 7), ("N[7:0]", "M[7:0]", 7)], ids=["syntax", "name"]
)
def test_a_refusal_names_file_and_line(old: str, new: str, line: int, source: Path) -> None:
    source.write_text(MULTIPLY.replace(old, new))
    with pytest.raises(BuildFailed) as caught:
        verilate.build([source], "times", {}, HARNESS)
    assert (caught.value.file, caught.value.line) == ("times.v", line)
    assert "\n" not in str(caught.value)
