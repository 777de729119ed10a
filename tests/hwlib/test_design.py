"""Designs and specs: what is read, and the one line said when it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwlib.design import Manifest, read_design, read_manifest
from hwlib.errors import InputError
from hwlib.spec import read_spec


def design(folder: Path, manifest: str) -> Path:
    (folder / "rtl").mkdir(parents=True)
    (folder / "design.yaml").write_text(manifest)
    (folder / "rtl" / "array.v").write_text("module array (); endmodule\n")
    return folder


GOOD = "name: small\nclock_ns: 8\nparameters: {T: 4, D: 4}\n"


def test_a_manifest_takes_the_contracts_defaults(tmp_path: Path) -> None:
    manifest = read_design(design(tmp_path / "d", GOOD)).manifest
    assert manifest.parameters["WORDS"] == 1024
    assert manifest.macs_per_cycle == 64
    assert manifest.word_bytes == 16
    assert manifest.scratchpad_bytes == 16384


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nclock_ns: 8\nparameters: {T: 3}\n", "T = 3 is not a power of two"),
        ("name: x\nclock_ns: 8\nparameters: {T: 2, D: 2}\n", "4 bytes in a word; use at least 8"),
        ("name: x\nclock_ns: 8\nparameters: {T: 4, D: 2, AXI_BYTES: 16}\n", "AXI_BYTES = 16 is wider"),
        ("name: x\nclock_ns: 8\nparameters: {Q: 2}\n", "unknown parameter 'Q'"),
        ("name: x\nclock_ns: -1\nparameters: {}\n", "clock_ns: Input should be greater than 0"),
        ("name: x\nclock_ns: 8\nisa: 9\nparameters: {}\n", "isa 9 is not supported"),
        ("name: x\nparameters: {}\n", "clock_ns: Field required"),
        ("name: x\nclock_ns: 8\nparameters: {}\ncolour: red\n", "colour: Extra inputs"),
        ("name: [", "not a YAML file"),
        ("", "Input should be"),
    ],
)
def test_a_bad_manifest_gets_one_line(tmp_path: Path, text: str, message: str) -> None:
    folder = design(tmp_path / "d", text)
    with pytest.raises(InputError) as caught:
        read_design(folder)
    line = str(caught.value)
    assert message in line
    assert "design.yaml" in line
    assert "\n" not in line


def test_a_folder_without_manifest_or_rtl(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no design\.yaml here"):
        read_manifest(tmp_path / "design.yaml")
    (tmp_path / "design.yaml").write_text(GOOD)
    with pytest.raises(InputError, match="no Verilog files"):
        read_design(tmp_path)


def test_the_tree_hash_sees_every_byte_and_name(tmp_path: Path) -> None:
    first = read_design(design(tmp_path / "a", GOOD))
    second = read_design(design(tmp_path / "b", GOOD))
    assert first.tree_hash == second.tree_hash
    (second.folder / "rtl" / "array.v").write_text("module array (); endmodule \n")
    assert first.tree_hash != second.tree_hash


def test_a_blocks_files_do_not_include_those_of_a_longer_name(tmp_path: Path) -> None:
    folder = design(tmp_path / "d", GOOD)
    for name in ("array_dot", "matrix_unit", "matrix_unit_fetch"):
        (folder / "rtl" / f"{name}.v").write_text(f"module {name} (); endmodule\n")
    found = read_design(folder)
    assert [p.stem for p in found.block_files("array")] == ["array", "array_dot"]
    assert [p.stem for p in found.block_files("matrix_unit")] == ["matrix_unit", "matrix_unit_fetch"]
    assert "array_dot.v" in [p.name for p in found.closure_files("matrix_unit")]


def test_manifest_is_frozen_in_what_it_promises() -> None:
    manifest = Manifest(name="x", parameters={"T": 8, "D": 1}, clock_ns=5)
    assert (manifest.tile, manifest.dot) == (8, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: A B\n", "name: String should match"),
        ("name: ok\nclock_ns: 0\n", "clock_ns: Input should be greater"),
        ("name: ok\nobjective: speed\n", "objective: Input should be"),
        ("name: ok\nbudget: {}\n", "budget: Extra inputs"),
        ("- 1\n", "Input should be"),
        ("name: {", "not a YAML file"),
    ],
)
def test_a_bad_spec_gets_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_spec(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_spec(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such spec file"):
        read_spec(tmp_path / "none.yaml")
