"""What a planner must know of every block before it orders one: widths, bounds, and what the templates offer.

All from the contracts and the templates' catalogue, and the same in every round, so that a cache holds it.
"""

from __future__ import annotations

from functools import lru_cache

from hwlib import contracts, templates
from hwlib.contracts.schema import Contract, Interface
from hwlib.errors import plain

PORTS, BOUND, VARIANTS = 300, 240, 300
"""Most characters of a row's cells: payload widths; throughput or latency; template variants."""


@lru_cache
def table() -> str:
    """A Markdown table, a row a block, leaves first."""
    head = "| block | payload bits | throughput | latency | templates (options) |"
    return "\n".join([head, "| --- | --- | --- | --- | --- |", *map(_row, contracts.names())])


@lru_cache
def trades() -> str:
    """What each template variant trades, and what its options do: a line each."""
    lines = []
    for block in templates.blocks():
        options: dict[str, str] = {}
        for name, variant in templates.variants(block).items():
            lines.append(f"- {block} {name}: {variant.trade}")
            told = {key: f"  {key} ({option.default}): {option.doc}" for key, option in variant.options.items()}
            options = told | options
        lines += options.values()
    return "\n".join(lines)


def _row(block: str) -> str:
    contract = contracts.load(block)
    cells = (_ports(contract), _cut(contract.throughput, BOUND), _cut(contract.latency, BOUND), _variants(block))
    return f"| {block} | {' | '.join(cells)} |"


def _ports(contract: Contract) -> str:
    if contract.block == "top":
        return "as in its contract"
    return _cut("; ".join(_widths(i) for i in contract.interfaces if i.fields), PORTS)


def _widths(interface: Interface) -> str:
    """As formulas of the parameters, which hold whatever a round sets them to."""
    fields = " ".join(f"{name}:{width}" for name, width in interface.fields.items())
    return f"{interface.name or 'wires'} {interface.direction} {fields}"


def _variants(block: str) -> str:
    """Variants, the default first, each with its options and their legal values that no earlier one has."""
    said, seen = [], set[str]()
    for name, variant in templates.variants(block).items():
        options = [f"{key}={'/'.join(map(str, option.legal))}" for key, option in variant.options.items()]
        new = [option for option in options if option not in seen]
        seen.update(new)
        said.append(f"{name} ({', '.join(new)})" if new else name)
    return _cut(", ".join(said), VARIANTS)


def _cut(text: str, most: int) -> str:
    """In one cell: one line, no bars, of at most `most` characters."""
    return plain(" ".join(text.replace("|", "/").split()), most)
