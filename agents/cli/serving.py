"""The mcp command: the MCP server on stdin and stdout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agents.cli.campaigns import BUDGET_HELP, DEFAULT_SPEC, SHOWN_SPEC, parse_budget
from hwlib.errors import InputError

DESIGNS = 1000
"""Whole designs a client may hand in unless the budget says otherwise."""


def mcp(
    campaign: Annotated[
        str, typer.Option(help="The campaign to work in, begun if there is none. Default: the spec's name and -mcp.")
    ] = "",
    spec: Annotated[
        Path, typer.Option(help="The spec a new campaign is for (docs/spec.md).", show_default=SHOWN_SPEC)
    ] = DEFAULT_SPEC,
    design: Annotated[
        str,
        typer.Option(help="What a new campaign builds on: a design folder, a campaign or campaign:revision, not the "
                          "expert. Default: the templates' defaults."),
    ] = "",
    budget: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help=BUDGET_HELP)] = None,
) -> None:  # fmt: skip
    """Serve a coding agent over the Model Context Protocol, on stdin and stdout: it writes, the gates judge."""
    try:
        from agents.mcp.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
            raise
        raise InputError("the MCP SDK is not installed", "rtloom mcp", "pip install 'rtloom[mcp]'") from None
    from agents.mcp.session import opened
    from hwlib.spec import read_spec

    asked = read_spec(spec)
    limits = parse_budget(budget or [])
    if "rounds" not in limits.model_fields_set:
        limits = limits.model_copy(update={"rounds": DESIGNS})
    with opened(campaign or f"{asked.name}-mcp", asked, design, limits) as session:
        serve(session)
