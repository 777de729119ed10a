"""Yosys in the sandbox: its refusals have a place and a reason; its limits hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from verification import yosys
from verification.sandbox import Limits


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.v").write_text("module good(input wire a, output wire y);\n    assign y = !a;\nendmodule\n")
    (tmp_path / "bad.v").write_text("module bad(input wire a);\n    assign = a;\nendmodule\n")
    return tmp_path


def test_a_script_leaves_its_files_in_the_folder(folder: Path) -> None:
    assert yosys.run("read_verilog good.v\nsynth -top good\nwrite_verilog -noattr out.v\n", folder).ok
    assert "module good" in (folder / "out.v").read_text()


def test_a_refusal_names_file_line_and_reason(folder: Path) -> None:
    with pytest.raises(yosys.YosysFailed) as caught:
        yosys.run("read_verilog bad.v\n", folder)
    assert (caught.value.file, caught.value.line) == ("bad.v", 2)
    assert "syntax error" in caught.value.reason
    assert str(caught.value).startswith("bad.v:2: Yosys refuses this RTL: syntax error")
    assert caught.value.reason in caught.value.log


def test_a_refusal_without_a_place_has_its_reason(folder: Path) -> None:
    with pytest.raises(yosys.YosysFailed) as caught:
        yosys.run("read_verilog good.v\nhierarchy -check -top other\n", folder)
    assert (caught.value.file, caught.value.line) == ("", 0)
    assert "other" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_limit_is_named(folder: Path) -> None:
    with pytest.raises(yosys.YosysFailed, match=r"stopped by the time limit of 0\.1 s"):
        yosys.run("read_verilog good.v\n", folder, Limits(seconds=0.1))
