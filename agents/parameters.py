"""Which of the top's parameters a block depends on, itself or through the blocks it instantiates."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from hwlib import contracts

_OF_TOP = {"LANES": "ACT_LANES", "TABLES": "ACT_TABLES"}
"""Names of the top's parameters where a block calls them otherwise."""
_ENTRIES = {"matrix_unit": "MATRIX_PARAMS", "vector_unit": "VECTOR_PARAMS"}


@lru_cache
def names(block: str) -> frozenset[str]:
    """The top's parameters that change `block` or a block below it."""
    contract = contracts.load(block)
    own = {_in_top(block, name) for name in contract.parameters}
    below = [names(used) for used in contract.uses if used in contracts.names()]
    return frozenset(own.union(*below))


def relevant(block: str, parameters: Mapping[str, int]) -> dict[str, int]:
    """The part of the top's `parameters` that `block` depends on."""
    return {name: value for name, value in sorted(parameters.items()) if name in names(block)}


def of_block(block: str, parameters: Mapping[str, int]) -> dict[str, int]:
    """The values of `block`'s own parameters in a design whose top has `parameters`."""
    return {name: parameters[_in_top(block, name)] for name in contracts.load(block).parameters}


def _in_top(block: str, name: str) -> str:
    return _ENTRIES[block] if name == "PARAMS" else _OF_TOP.get(name, name)
