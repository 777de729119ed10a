"""RTLLM v2: a folder a design, in folders of categories, with a description, a bench, the reference and data files.

Its benches print that the design passed, or how often it failed. Rules as in the suite's makefiles: the answer before
the bench, and 1 ns where no file says otherwise; which words mean a pass, see `verdict`.
"""

from __future__ import annotations

import re
from pathlib import Path

from agents.bench import Problem, Verdict
from agents.bench.files import text_of
from agents.bench.text import instantiated, modules, renamed, top_module
from hwlib.errors import InputError

DESCRIPTION, BENCH = "design_description.txt", "testbench.v"
TIME = "`timescale 1ns/1ns\n"
_PASSED = re.compile(r"your design passed", re.IGNORECASE)
_MOST_DATA = 4 << 20
"""Bytes of a data file."""


class Rtllm:
    """See the module."""

    name = "rtllm"

    def problems(self, folder: Path) -> tuple[Problem, ...]:
        """Every folder below that has a description and a bench."""
        found = sorted(path.parent for path in folder.rglob(DESCRIPTION) if (path.parent / BENCH).is_file())
        if not found:
            what = f"no folder with {DESCRIPTION} and {BENCH} below"
            raise InputError(what, str(folder), "give a checkout of RTLLM v2")
        names = [path.name for path in found]
        twice = next((name for name in names if names.count(name) > 1), "")
        if twice:
            raise InputError(f"two designs are called {twice}", str(folder), "give a checkout of RTLLM v2 alone")
        return tuple(_problem(path) for path in sorted(found, key=lambda path: path.name))

    def verdict(self, problem: Problem, output: str) -> Verdict:
        """Passed when the bench says "Your Design Passed"; with one that never could, when it says "pass" at all, which
        is the suite's own rule."""
        says = _PASSED if any(map(_PASSED.search, problem.bench.values())) else re.compile("[Pp]ass")
        lines = [" ".join(line.split()) for line in output.splitlines() if line.strip()]
        if any(map(says.search, lines)):
            return Verdict("passed", "the bench says so")
        failed = [line for line in lines if re.search(r"fail|error|mismatch", line, re.IGNORECASE)]
        if failed:
            return Verdict("wrong", failed[-1][:160])
        return Verdict("silent", "the bench ended without a verdict")


def _problem(folder: Path) -> Problem:
    bench = text_of(folder / BENCH)
    top = top_module(bench)
    wanted = _wanted(bench, folder.name)
    sources = _sources(folder)
    beside = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.is_symlink()]
    data = {path.name: path.read_bytes() for path in beside if _is_data(path)}
    return Problem(
        name=folder.name, specification=text_of(folder / DESCRIPTION), module=wanted, top=top,
        before={"before.v": TIME}, bench={"after.v": f"`resetall\n{TIME}", BENCH: bench}, data=data,
        reference=_reference("\n".join(map(text_of, sources)), wanted), answer_file=f"{folder.name}_answer.v",
    )  # fmt: skip


def _sources(folder: Path) -> list[Path]:
    """The reference's files: those called verified, else the one Verilog file beside the bench."""
    found = sorted(path for path in folder.glob("*.v") if path.is_file() and path.name != BENCH)
    verified = [path for path in found if path.name.startswith("verified_")]
    return verified or (found if len(found) == 1 else [])


def _wanted(bench: str, folder: str) -> str:
    """The module that the bench instantiates and does not define: the folder's name if that is among them."""
    own = set(modules(bench))
    foreign = [name for name in instantiated(bench) if name not in own]
    return folder if folder in foreign or not foreign else foreign[0]


def _reference(text: str, wanted: str) -> str:
    """The suite's answer under the name its bench wants: they call it verified_NAME, or something near."""
    if not text or wanted in modules(text):
        return text
    prefixed = f"verified_{wanted}"
    return renamed(text, {prefixed if prefixed in modules(text) else top_module(text): wanted})


def _is_data(path: Path) -> bool:
    return path.name != DESCRIPTION and path.suffix in (".txt", ".dat", ".hex", ".mem", ".data") \
        and path.stat().st_size <= _MOST_DATA  # fmt: skip
