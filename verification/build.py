"""Compiling RTL for a simulator: sources into the work folder, and one clear line when the compiler refuses."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from hwlib.errors import InputError
from verification.sandbox import Completed

_LOCATED = re.compile(
    r"^(?:%Error\S*: )?(?P<file>[\w./-]+\.s?v):(?P<line>\d+)(?::\d+)?: (?!warning:)(?P<text>.+)$", re.MULTILINE
)


class BuildFailed(InputError):
    """A compiler refused the sources. `log` is all it said; `file` and `line` where, when it said so; `reason` why."""

    def __init__(self, compiler: str, done: Completed) -> None:
        self.log = done.output
        match = _LOCATED.search(done.output)
        self.file, self.line = (match["file"], int(match["line"])) if match else ("", 0)
        self.reason = match["text"] if match else _last_line(done)
        where = f"{self.file}:{self.line}" if match else ""
        super().__init__(f"{compiler} refuses this RTL: {self.reason}", where)

    @property
    def located(self) -> str:
        """Where and why, without the compiler's name."""
        return f"{self.where}: {self.reason}" if self.where else self.reason


def _last_line(done: Completed) -> str:
    if done.stopped:
        return f"stopped by the {done.stopped}"
    lines = [line for line in done.output.splitlines() if "rror" in line] or done.output.splitlines()
    return lines[0] if lines else f"exit status {done.returncode}"


def copy_sources(files: Iterable[Path], folder: Path) -> list[str]:
    """Copy `files` into `folder`; their names there. Two files of one name are an InputError."""
    names = []
    for path in files:
        if path.name in names:
            raise InputError("two files have this name", path.name, "name files as their modules, each once")
        try:
            shutil.copyfile(path, folder / path.name)
        except FileNotFoundError:
            raise InputError("no such file", str(path)) from None
        names.append(path.name)
    return names
