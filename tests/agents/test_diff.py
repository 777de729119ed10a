"""Differences of designs: git applies them, pages escape them, the manifest comes first."""

from __future__ import annotations

import subprocess
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from agents import api
from agents.diff import diff_designs, diff_files, unified
from agents.diff_view import page_files, terminal
from agents.report import diff_page
from agents.similarity import compare_sources

TEXTS = st.lists(st.sampled_from(["wire a;", "wire b;", "", "  assign a = b;", "é <&>"]), max_size=12).flatmap(
    lambda lines: st.sampled_from(["\n".join(lines), "\n".join([*lines, ""])])
)
FILES = st.dictionaries(st.sampled_from(["rtl/a.v", "rtl/b.v", "notes"]), TEXTS.filter(bool))


@settings(max_examples=30, deadline=None)
@given(old=FILES, new=FILES)
def test_git_apply_turns_the_first_into_the_second(
    old: dict[str, str], new: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("apply")
    for name, text in old.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    patch = unified(diff_files(old, new, "a", "b"))
    if patch:
        subprocess.run(["git", "apply", "--unidiff-zero", "-"], input=patch, text=True, check=True, cwd=folder)
    found = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert found == new


def test_manifest_changes_come_by_field() -> None:
    old = {"design.yaml": "name: x\nparameters: {T: 4, D: 4}\n", "rtl/a.v": "module a;\nendmodule\n"}
    new = {"design.yaml": "name: x\nparameters: {T: 8, D: 4}\nvariants: {array: tree}\n", "rtl/a.v": old["rtl/a.v"]}
    found = diff_files(old, new, "one", "two")
    assert [(c.field, c.old, c.new) for c in found.fields] == [("parameters.T", 4, 8), ("variants.array", None, "tree")]
    assert [item.path for item in found.files] == ["design.yaml"]


def test_a_design_does_not_differ_from_itself() -> None:
    expert = api.resolve_design("expert")
    found = diff_designs(expert, expert, "expert", "again")
    assert found.empty
    assert unified(found) == ""


def test_page_escapes_the_source_and_counts_lines() -> None:
    old = {"rtl/a.v": "module a;\n/* two\nlines */\nendmodule\n"}
    new = {"rtl/a.v": "module a;\n/* two\n<script>alert(1)</script> */\nendmodule\n"}
    found = diff_files(old, new, "<b>", "b")
    page = diff_page(found)
    assert "<script>" not in page
    assert "<b>" not in page
    (file,) = page_files(found)
    assert (file.added, file.removed) == (1, 1)
    shown = [(line.op, line.old, line.new) for hunk in file.hunks for line in hunk.lines]
    assert shown == [(" ", "1", "1"), (" ", "2", "2"), ("-", "3", ""), ("+", "", "3"), (" ", "4", "4")]


def test_terminal_shows_every_changed_line() -> None:
    found = diff_files({"rtl/a.v": "wire [3:0] x;\n"}, {"rtl/a.v": "wire [4:0] x;\n"}, "a", "b")
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(terminal(found))
    text = console.export_text()
    assert "-wire [3:0] x;" in text
    assert "+wire [4:0] x;" in text


def test_control_characters_show_as_escapes() -> None:
    found = diff_files({"rtl/a.v": "wire a;\n"}, {"rtl/a.v": "wire a; // \x1b[2J\u202e\r\n"}, "a", "b")
    text = "".join(line.text for file in found.files for hunk in file.hunks for line in hunk.lines)
    assert "\\x1b[2J\\u202e\\r" in text
    assert "\x1b" not in text


def test_files_of_many_equal_lines_are_compared_in_time() -> None:
    old, new = "x\n" * 100_000, "x\n" * 50_000 + "y\n" + "x\n" * 50_000
    begin = time.monotonic()
    assert not diff_files({"rtl/a.v": old}, {"rtl/a.v": new}, "a", "b").empty
    compare_sources("a", "b", {"rtl/a.v": "/*" * 50_000}, {"rtl/a.v": "module " * 30_000})
    assert time.monotonic() - begin < 10
