"""The `rtloom` command. Each module here holds one group of commands; this one registers them and owns the exit status.

0 done, 1 judged and failed, 2 could not be done: one line on stderr, never a traceback.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import typer
from typer.exceptions import Abort, TyperException

from agents.models.keys import hidden
from hwlib.errors import InputError, plain

COMMANDS: Mapping[str, str] = {
    "doctor": "verifying:doctor",
    "run": "campaigns:run",
    "resume": "campaigns:resume",
    "replay": "campaigns:replay",
    "status": "campaigns:status",
    "list": "campaigns:list_",
    "stop": "campaigns:stop",
    "transcript": "ablating:transcript",
    "ablate": "ablating:ablate",
    "review": "reviewing:review",
    "diff": "reviewing:diff",
    "compare": "comparing:compare",
    "verify": "verifying:verify",
    "equiv": "verifying:equiv",
    "mutants": "grading:mutants",
    "coverage": "grading:coverage",
    "synth": "verifying:synth",
    "mcp": "serving:mcp",
    "generate": "generating:generate",
    "demo": "demonstration:demo",
}
"""Each command's module here, and function."""
GROUPS: Mapping[str, str] = {"bench": "bench:app", "mfm": "models:app"}
"""The same of groups of commands."""


def application(first: str = "") -> typer.Typer:
    """The command line; of the command or group `first` alone, if there is one: others' modules are not worth the wait
    of somebody who verifies at each edit."""
    app = typer.Typer(
        name="rtloom",
        help="Agents that design transformer accelerators in Verilog, and the software that runs models on them.",
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        add_completion=False,
        no_args_is_help=True,
    )
    app.callback()(_nothing)
    every = {*COMMANDS, *GROUPS}
    wanted = {first} & every or every
    for name in COMMANDS:
        if name in wanted:
            app.command(name)(_found(COMMANDS[name]))
    for name in GROUPS:
        if name in wanted:
            app.add_typer(_found(GROUPS[name]), name=name)
    return app


def _nothing() -> None:
    """That there is a callback makes a single command one of a group."""


def _found(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(f"agents.cli.{module}"), name)


def main() -> None:
    """Entry point of the `rtloom` command."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # it would read what every package says of itself
    gc.freeze()  # what was imported stays: the collector need not look at it again
    gc.set_threshold(50_000, 20, 100)  # records of simulations are millions of objects that form no cycles
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit status."""
    try:
        app = application(arguments[0] if arguments else "")
        return int(app(list(arguments), prog_name="rtloom", standalone_mode=False) or 0)
    except InputError as error:
        return _refuse(str(error))
    except TyperException as error:
        return _refuse_usage(error)
    except (KeyboardInterrupt, Abort):
        return _refuse("interrupted; nothing was left half done, run the command again")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _refuse(f"{error.filename or 'system'}: {error.strerror or error}")
    except Exception as error:
        return _refuse_unexpected(error)


def _refuse(message: str) -> int:
    print("rtloom: " + " ".join(plain(message).split()), file=sys.stderr)
    return 2


def _refuse_usage(error: TyperException) -> int:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "rtloom"
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message())
        return 0
    return _refuse(f"{error.format_message().rstrip('.')}; see `{path} --help`")


def _refuse_unexpected(error: Exception) -> int:
    """A fault of rtloom itself: one line, and the traceback in a file for a report."""
    with tempfile.NamedTemporaryFile("w", prefix="rtloom-", suffix=".log", delete=False) as file:
        file.write(hidden("".join(traceback.format_exception(error))))
    return _refuse(f"a fault in rtloom ({type(error).__name__}: {hidden(str(error))}); the traceback is in {file.name}")
