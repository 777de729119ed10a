"""How alike the Verilog of two designs is, so that copying would show.

Comments, white space and the module's port list (which the contract dictates) do not count. Two figures a file:
the share of its runs of `SHINGLE` tokens that also occur anywhere in the other design (containment, as in
winnowing: Schleimer, Wilkerson, Aiken 2003), and the best line ratio by difflib against the file of the same name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher

SHINGLE = 12
"""Tokens in a run: about a statement and a half."""
_MOST_LINES = 5000
"""Of a file whose lines are put in order against another's; longer ones are compared as a bag of lines."""
_COMMENT = re.compile(r"//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_TOKEN = re.compile(r"\d*'s?[bdho][0-9a-fA-FxzXZ_]+|[A-Za-z_$][\w$]*|\d+|<<<|>>>|[<>=!]=|&&|\|\||<<|>>|\S")
_HEADER = re.compile(r"\bmodule\b[^;]*(?:;|\Z)")
"""Each of these reads a text once, however it is written."""


@dataclass(frozen=True)
class FileSimilarity:
    """One file of the first design. `shared_tokens` and `line_ratio` are 0 to 1; `lines` is the file's length."""

    path: str
    lines: int
    shared_tokens: float
    line_ratio: float


@dataclass(frozen=True)
class Similarity:
    """How much of design `a` is found in design `b`: over all files, and by file, most alike first."""

    a: str
    b: str
    shared_tokens: float
    files: tuple[FileSimilarity, ...]


def compare_sources(a: str, b: str, old: Mapping[str, str], new: Mapping[str, str]) -> Similarity:
    """The share of `old`'s text (Verilog by path, design `a`) that is found in `new` (design `b`)."""
    pool = frozenset(run for text in new.values() for run in _shingles(text))
    files = [_file(path, text, new.get(path, ""), pool) for path, text in old.items() if path.endswith(".v")]
    runs = [run for path, text in old.items() if path.endswith(".v") for run in _shingles(text)]
    files.sort(key=lambda item: (-item.shared_tokens, item.path))
    return Similarity(a, b, _share(runs, pool), tuple(files))


def _file(path: str, text: str, other: str, pool: frozenset[tuple[str, ...]]) -> FileSimilarity:
    lines, others = _body_lines(text), _body_lines(other)
    matcher = SequenceMatcher(None, lines, others, autojunk=False)
    ordered = max(len(lines), len(others)) <= _MOST_LINES
    ratio = (matcher.ratio() if ordered else matcher.quick_ratio()) if other else 0.0
    return FileSimilarity(path, text.count("\n"), _share(_shingles(text), pool), ratio)


def _share(runs: Iterable[tuple[str, ...]], pool: frozenset[tuple[str, ...]]) -> float:
    found = [run in pool for run in runs]
    return sum(found) / len(found) if found else 0.0


def _body(text: str) -> str:
    """The text without comments and without the first module's header."""
    return _HEADER.sub(" ", _COMMENT.sub(" ", text), count=1)


def _body_lines(text: str) -> list[str]:
    return [line for line in (" ".join(raw.split()) for raw in _body(text).splitlines()) if line]


def _shingles(text: str) -> list[tuple[str, ...]]:
    tokens = _TOKEN.findall(_body(text))
    return [tuple(tokens[i : i + SHINGLE]) for i in range(len(tokens) - SHINGLE + 1)]
