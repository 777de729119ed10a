"""Which of the top's parameters a block depends on, itself or through the blocks it instantiates."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from hwlib import contracts
from hwlib.design import name_in_top


@lru_cache
def names(block: str) -> frozenset[str]:
    """The top's parameters that change `block` or a block below it."""
    contract = contracts.load(block)
    own = {name_in_top(block, name) for name in contract.parameters}
    below = [names(used) for used in contract.uses if used in contracts.names()]
    return frozenset(own.union(*below))


def relevant(block: str, parameters: Mapping[str, int]) -> dict[str, int]:
    """The part of the top's `parameters` that `block` depends on."""
    return {name: value for name, value in sorted(parameters.items()) if name in names(block)}
