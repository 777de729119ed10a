"""Designs to spoil: the expert's files in a folder of the test's own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import hwlib
from hwlib.design import Design, read_design
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
