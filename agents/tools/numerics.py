"""Read the golden arithmetic."""

from __future__ import annotations

import inspect
from typing import Literal

from agents.tools import Call
from agents.tools.desk import Desk
from hwlib import numerics
from hwlib.errors import InputError


class ReadNumerics(Call):
    """A golden function that contracts name under numerics: its source, which says exactly what is computed."""

    tool: Literal["read_numerics"]
    name: str

    def answer(self, desk: Desk) -> str:
        """Source with docstring; a table's values."""
        return numerics_text(self.name)


def numerics_text(name: str) -> str:
    """The source of `hwlib.numerics`' item `name`; InputError lists the names there are."""
    if name not in numerics.__all__:
        raise InputError(f"no numerics '{name}'", "name", f"use one of {', '.join(numerics.__all__)}")
    item = getattr(numerics, name)
    if inspect.isfunction(item) or inspect.isclass(item):
        return inspect.getsource(item)
    return f"{name} = {item}"
