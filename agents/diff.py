"""Differences between two designs: manifest fields first, then files as git-style unified diffs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Literal

import yaml

from hwlib.design import Design
from hwlib.errors import InputError

CONTEXT_LINES = 3
Operation = Literal[" ", "-", "+"]
Status = Literal["added", "removed", "changed"]


@dataclass(frozen=True)
class Line:
    """One line of a hunk; line numbers count from 1 and are None on the side the line is not in."""

    op: Operation
    text: str
    old: int | None
    new: int | None


@dataclass(frozen=True)
class Hunk:
    """A run of changes with context. `header` is the ``@@ -a,b +c,d @@`` line."""

    header: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class FileDiff:
    """One file that differs, with both texts (empty where it does not exist)."""

    path: str
    status: Status
    old: str
    new: str
    hunks: tuple[Hunk, ...]

    @property
    def added(self) -> int:
        """Lines only the new file has."""
        return sum(line.op == "+" for hunk in self.hunks for line in hunk.lines)

    @property
    def removed(self) -> int:
        """Lines only the old file has."""
        return sum(line.op == "-" for hunk in self.hunks for line in hunk.lines)


MOST_LINES = 5000
"""Above these, lines that occur often are not matched one by one: the time would be their number squared."""


@dataclass(frozen=True)
class FieldChange:
    """A manifest field (dotted path) with its values; None where it is absent."""

    field: str
    old: Any
    new: Any


@dataclass(frozen=True)
class DesignDiff:
    """What turns design `a` into design `b` (labels as the user wrote them)."""

    a: str
    b: str
    fields: tuple[FieldChange, ...]
    files: tuple[FileDiff, ...]

    @property
    def empty(self) -> bool:
        """Whether the designs are the same."""
        return not self.files


def source_files(design: Design) -> dict[str, str]:
    """Text of the manifest and every RTL file by path in the design's folder; InputError for one that is not text."""
    paths = (design.folder / "design.yaml", *design.rtl)
    return {str(path.relative_to(design.folder)): _text(path) for path in paths}


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 text: {error.reason} at byte {error.start}", str(path)) from None


def diff_files(old: Mapping[str, str], new: Mapping[str, str], a: str, b: str) -> DesignDiff:
    """The difference of two sets of files; design.yaml comes first, then the rest by path."""
    names = sorted(old.keys() | new.keys(), key=lambda name: (name != "design.yaml", name))
    files = tuple(_file_diff(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name))
    fields = _field_changes(old.get("design.yaml", ""), new.get("design.yaml", ""))
    return DesignDiff(a, b, fields, files)


def diff_designs(old: Design, new: Design, a: str, b: str) -> DesignDiff:
    """The difference of two design folders; `a` and `b` label them."""
    return diff_files(source_files(old), source_files(new), a, b)


def _file_diff(path: str, old: str | None, new: str | None) -> FileDiff:
    status: Status = "added" if old is None else "removed" if new is None else "changed"
    before, after = visible(old or ""), visible(new or "")
    return FileDiff(visible(path), status, before, after, tuple(_hunks(_lines(before), _lines(after))))


def visible(text: str) -> str:
    """`text` with what a terminal would obey, or nobody would see, written as escapes."""
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _hunks(old: list[str], new: list[str]) -> Iterator[Hunk]:
    matcher = SequenceMatcher(None, old, new, autojunk=max(len(old), len(new)) > MOST_LINES)
    for group in matcher.get_grouped_opcodes(CONTEXT_LINES):
        lines = [line for code in group for line in _group_lines(code, old, new)]
        first, last = group[0], group[-1]
        header = f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@"
        yield Hunk(header, tuple(lines))


def _group_lines(code: tuple[str, int, int, int, int], old: list[str], new: list[str]) -> Iterator[Line]:
    tag, i1, i2, j1, j2 = code
    if tag == "equal":
        yield from (Line(" ", old[i], i + 1, j1 + i - i1 + 1) for i in range(i1, i2))
        return
    yield from (Line("-", old[i], i + 1, None) for i in range(i1, i2))
    yield from (Line("+", new[j], None, j + 1) for j in range(j1, j2))


def _range(start: int, stop: int) -> str:
    length = stop - start
    return f"{start + 1 if length else start},{length}"


def _field_changes(old: str, new: str) -> tuple[FieldChange, ...]:
    before, after = dict(_flatten(yaml.safe_load(old) or {})), dict(_flatten(yaml.safe_load(new) or {}))
    names = sorted(before.keys() | after.keys())
    return tuple(FieldChange(n, before.get(n), after.get(n)) for n in names if before.get(n) != after.get(n))


def _flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        yield prefix, value
        return
    for key, inner in value.items():
        yield from _flatten(inner, f"{prefix}.{key}" if prefix else str(key))


def unified(diff: DesignDiff) -> str:
    """The difference as text `git apply` takes."""
    return "".join(_unified_file(item) for item in diff.files)


def file_header(item: FileDiff) -> list[str]:
    """The lines before a file's first hunk, as git writes them."""
    old = "/dev/null" if item.status == "added" else f"a/{item.path}"
    new = "/dev/null" if item.status == "removed" else f"b/{item.path}"
    mode = {"added": ["new file mode 100644"], "removed": ["deleted file mode 100644"], "changed": []}[item.status]
    return [f"diff --git a/{item.path} b/{item.path}", *mode, f"--- {old}", f"+++ {new}"]


def _unified_file(item: FileDiff) -> str:
    lines = [f"{line}\n" for line in file_header(item)]
    for hunk in item.hunks:
        lines.append(hunk.header + "\n")
        lines += [_unified_line(line) for line in hunk.lines]
    return "".join(lines)


def _unified_line(line: Line) -> str:
    ending = "" if line.text.endswith("\n") else "\n\\ No newline at end of file\n"
    return line.op + line.text + ending


def as_data(diff: DesignDiff) -> dict[str, Any]:
    """The difference for JSON."""
    return {
        "a": diff.a,
        "b": diff.b,
        "manifest": [{"field": c.field, "a": c.old, "b": c.new} for c in diff.fields],
        "files": [
            {"path": f.path, "status": f.status, "added_lines": f.added, "removed_lines": f.removed,
             "diff": _unified_file(f)} for f in diff.files
        ],
    }  # fmt: skip
