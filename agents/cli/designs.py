"""The DESIGN argument: what it may be, and `--set` to see a parametric design at other parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hwlib.errors import InputError

if TYPE_CHECKING:
    from hwlib.design import Design

DESIGN_HELP = "`expert`, a design folder, a campaign, or campaign:revision."
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Another value of a design parameter; repeat for more."),
]


def design_at(word: str, changes: list[str] | None) -> Design:
    """The design `word` names, with the parameters of `--set`; InputError for a bad name, parameter or value."""
    from agents import api
    from hwlib.design import with_parameters

    design = api.resolve_design(word)
    return with_parameters(design, **_parameters(changes)) if changes else design


def _parameters(changes: list[str]) -> dict[str, int]:
    from hwlib import contracts

    known, values = contracts.load("top").parameters, {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals or name not in known or not value.isdecimal():
            raise InputError(f"'{change}'", "--set", f"write NAME=VALUE, a number, with one of {', '.join(known)}")
        values[name] = int(value)
    return values
