"""Designs to spoil: the expert's files in a folder of the test's own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import hwlib
from hwlib.design import Design, read_design
from verification import sandbox
from verification.gates import Candidate

EXPERT = Path(hwlib.__file__).parent / "expert"


@pytest.fixture(scope="session")
def expert() -> Design:
    return read_design(EXPERT)


@pytest.fixture
def spoiled(tmp_path: Path) -> Callable[[dict[str, str]], Design]:
    """A copy of the expert with these files (name: text) written over or added."""

    def make(files: dict[str, str]) -> Design:
        folder = tmp_path / "design"
        shutil.copytree(EXPERT, folder)
        for name, text in files.items():
            (folder / "rtl" / name).write_text(text)
        return read_design(folder)

    return make


def expert_text(name: str, *changes: tuple[str, str]) -> str:
    """An expert file with texts replaced, each of which must be there."""
    text = (EXPERT / "rtl" / name).read_text()
    for old, new in changes:
        assert old in text, f"{name} has no '{old}'"
        text = text.replace(old, new, 1)
    return text


class AtFirstPoint(Candidate):
    """A block judged at its first bench point alone."""

    def points(self) -> list[dict[str, int]]:
        return super().points()[:1]


@pytest.fixture(params=["bubblewrap", "landlock"])
def mechanism(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each protection in turn, where this machine has it."""
    sandbox.protection.cache_clear()
    monkeypatch.setenv("RTLOOM_SANDBOX", request.param)
    try:
        found = sandbox.protection().name
    except sandbox.InputError:
        found = "none"
    if found != request.param:
        sandbox.protection.cache_clear()
        pytest.skip(f"{request.param} does not work here")
    yield request.param
    sandbox.protection.cache_clear()


def alive(mark: str) -> list[str]:
    """Processes with `mark` among their arguments."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if mark.encode() in Path("/proc", name, "cmdline").read_bytes().split(b"\0"):
                found.append(name)
        except OSError:
            continue
    return found
