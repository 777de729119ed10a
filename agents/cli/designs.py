"""The DESIGN argument: what it may be, and `--set` to see a parametric design at other parameters."""

from __future__ import annotations

from pathlib import Path
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
    from hwlib.design import with_parameters

    design = _resolved(word)
    return with_parameters(design, **_parameters(changes)) if changes else design


def _resolved(word: str) -> Design:
    """The design; of words that name no campaign without what campaigns need, which takes longer to import."""
    from hwlib.design import EXPERT, read_design

    if word == "expert":
        return read_design(EXPERT)
    if "/" in word and Path(word).is_dir():
        return read_design(Path(word))
    from agents import api

    return api.resolve_design(word)


def _parameters(changes: list[str]) -> dict[str, int]:
    from hwlib import contracts

    known, values = contracts.load("top").parameters, {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals or name not in known or not value.isdecimal():
            raise InputError(f"'{change}'", "--set", f"write NAME=VALUE, a number, with one of {', '.join(known)}")
        values[name] = int(value)
    return values
