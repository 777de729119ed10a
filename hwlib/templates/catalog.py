"""The catalogue: which variants and options exist for each block."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from hwlib import contracts
from hwlib.errors import InputError

FOLDER = Path(__file__).parent
Value = int | str


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Option(_Strict):
    """A generation option: its meaning, the legal values and the default."""

    doc: str
    legal: tuple[Value, ...]
    default: Value

    @model_validator(mode="after")
    def _default_is_legal(self) -> Option:
        if self.default not in self.legal:
            raise ValueError(f"default {self.default} is not among {self.legal}")
        return self


class Variant(_Strict):
    """A micro-architecture of a block: what it trades, the template of each module, and its options."""

    trade: str
    files: dict[str, str]
    options: dict[str, Option] = {}

    def resolve(self, options: Mapping[str, Value], where: str) -> dict[str, Value]:
        """All options, the defaults filled in; InputError for an unknown one or an illegal value."""
        for name, value in options.items():
            if name not in self.options:
                legal = ", ".join(self.options) or "none"
                raise InputError(f"unknown option '{name}'", where, f"options here: {legal}")
            if value not in self.options[name].legal or isinstance(value, bool):
                legal = ", ".join(map(str, self.options[name].legal))
                raise InputError(f"{name} = {value!r}", where, f"use one of {legal}")
        return {name: options.get(name, option.default) for name, option in self.options.items()}


class Choice(NamedTuple):
    """A variant of a block and values for some of its options; the others take their defaults."""

    variant: str
    options: Mapping[str, Value] = {}


class _Block(_Strict):
    default: str
    variants: dict[str, Variant]


@lru_cache
def _catalog() -> dict[str, _Block]:
    data = yaml.safe_load((FOLDER / "catalog.yaml").read_text())
    return {name: _Block.model_validate(entry) for name, entry in data.items()}


def blocks() -> tuple[str, ...]:
    """Every block with templates, leaves first."""
    return tuple(name for name in contracts.names() if name in _catalog())


def variants(block: str) -> Mapping[str, Variant]:
    """The variants of `block` by name, the default first."""
    if block not in _catalog():
        raise InputError(f"no templates for block '{block}'", "templates", f"use one of {', '.join(blocks())}")
    entry = _catalog()[block]
    return {entry.default: entry.variants[entry.default]} | entry.variants


def variant(block: str, name: str) -> Variant:
    """Variant `name` of `block`; InputError lists the legal names."""
    known = variants(block)
    if name not in known:
        raise InputError(f"no variant '{name}' of {block}", "templates", f"use one of {', '.join(known)}")
    return known[name]


def defaults() -> dict[str, Choice]:
    """The default choice for every block: the straightforward first design."""
    return {block: Choice(next(iter(variants(block)))) for block in blocks()}


def option_space(block: str) -> dict[str, dict[str, tuple[Value, ...]]]:
    """Legal values of every option, by variant: what a search may vary."""
    return {name: {key: o.legal for key, o in item.options.items()} for name, item in variants(block).items()}
