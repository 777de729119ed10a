"""The generate command: files that derive from single sources."""

from __future__ import annotations

from typing import Annotated

import typer

from agents.cli.output import Json, print_json, show


def generate(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if a file is out of date.")] = False,
    as_json: Json = False,
) -> int:
    """Write the Verilog tables and reference pages that derive from the ISA, numerics, contracts and commands."""
    from agents.cli.manual import commands_page
    from hwlib import generate as sources

    files = sources.generated() | {"docs/commands.md": commands_page()}
    changed = sources.stale(files) if check else sources.write(files)
    if as_json:
        print_json("generate", {"files": sorted(files), "check": check, "changed": changed})
    else:
        word = "out of date" if check else "written"
        show(*(f"{word}: {name}" for name in changed), f"{len(files) - len(changed)} of {len(files)} files up to date")
    return 1 if check and changed else 0
