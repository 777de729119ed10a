"""Who may import whom: the rooms of the code base and the doors between them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("hwlib", "verification", "mfm", "agents", "prompts")
ALLOWED = {
    "hwlib": (),
    "verification": ("hwlib",),
    "mfm": ("hwlib",),
    "mfm/run": ("hwlib", "verification"),
    "mfm/api": ("hwlib", "verification"),
    "mfm/serve": ("hwlib", "verification"),
    "agents": ("hwlib", "verification", "mfm", "prompts"),
    "prompts": (),
}
"""What a room or a part of one imports of the others."""


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and room of each import of ours in the file, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        yield from ((node.lineno, name.split(".")[0]) for name in names if name.split(".")[0] in ROOMS)


def allowed(path: Path) -> tuple[str, ...]:
    """The rooms that the file may import, its own included."""
    place = path.relative_to(ROOT).with_suffix("").as_posix()
    part = "/".join(place.split("/")[:2])
    room = place.split("/")[0]
    return (room, *ALLOWED.get(part, ALLOWED[room]))


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_through_the_doors(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files
        for line, name in imported(path)
        if name not in allowed(path)
    ]
    assert wrong == []


def test_only_its_gate_opens_the_sealed_room() -> None:
    """Nothing else names it, in code or in text that a prompt may hold, nor the gate's module beside the gates."""
    gate = ROOT / "verification" / "gates" / "sealed.py"
    inside = [gate, *(ROOT / "verification" / "sealed").rglob("*")]
    texts = [p for room in ROOMS for p in (ROOT / room).rglob("*") if p.suffix in (".py", ".md", ".j2", ".yaml")]
    named = re.compile(r"verification[./]sealed|from verification import .*\bsealed\b|gates[./]sealed\b")
    assert len(texts) > 200
    assert [str(p.relative_to(ROOT)) for p in texts if p not in inside and named.search(p.read_text())] == []
    assert named.search(gate.read_text())
