"""What commands print: one JSON object for programs, tables for people, progress on stderr."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import BaseModel

from hwlib.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
SCHEMA_VERSION = 1
ROOT = Path(__file__).parents[2]


def print_json(command: str, figures: Mapping[str, Any], one_line: bool = False) -> None:
    """Print the command's one object."""
    print(json_text(command, figures, one_line))


def json_text(command: str, figures: Mapping[str, Any], one_line: bool = False) -> str:
    """The command's one object: schema, command, revision of rtloom, tool versions, then `figures`."""
    head = {
        "schema": f"rtloom/{command.replace(' ', '-')}/{SCHEMA_VERSION}",
        "command": command,
        "revision": software_revision(),
        "tools": tool_versions(),
    }
    return json.dumps(_plain(head | dict(figures)), indent=None if one_line else 2, allow_nan=False)


def _plain(value: Any) -> Any:
    """`value` as JSON has it; a number that is not finite is null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


@lru_cache
def software_revision() -> str:
    """The commit of the checkout rtloom runs from (with -dirty), else its package version."""
    done = None
    if (ROOT / ".git").exists():
        command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            done = None
    if done is not None and done.returncode == 0:
        return done.stdout.strip()
    try:
        return version("rtloom")
    except PackageNotFoundError:
        return "unknown"


def tool_versions() -> dict[str, str]:
    """Version of every external tool, by name; "none" if it is missing."""
    from verification.toolchain import find_tools

    return {tool.name: tool.version or "none" for tool in find_tools()}


def console(stderr: bool = False) -> Console:
    """A console; in a pipe it is wide enough not to fold tables. Text is shown as it is: styles come as `Text` only."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else 160, highlight=False, markup=False,
                   emoji=False)  # fmt: skip


def show(*parts: RenderableType) -> None:
    """Print rich renderables on stdout."""
    out = console()
    for part in parts:
        out.print(part)


def marked(good: bool, yes: str, no: str) -> Text:
    """`yes` in green or `no` in red."""
    from rich.text import Text

    return Text(yes, "green") if good else Text(no, "red")


def check_folder(path: Path) -> None:
    """Make the folder `path`; InputError if files cannot be written there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise InputError(f"cannot write: {error.strerror}", str(path)) from None


def write_page(path: Path, text: str) -> None:
    """Write a page; InputError if it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise InputError(f"cannot write: {error.strerror}", str(path)) from None
