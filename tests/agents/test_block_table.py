"""The planner's table of blocks says what contracts and catalogue say, and stays short."""

from __future__ import annotations

import pytest

from agents.roles.block_table import table
from hwlib import contracts, templates

MOST_BYTES = 7_000
ROWS = {line.split("|")[1].strip(): line for line in table().splitlines()[2:]}


def test_it_has_every_block_and_stays_short() -> None:
    assert tuple(ROWS) == contracts.names()
    assert len(table().encode()) < MOST_BYTES


@pytest.mark.parametrize("block", contracts.names())
def test_a_row_says_bounds_widths_and_templates(block: str) -> None:
    _, _, ports, throughput, latency, variants, _ = ROWS[block].split("|")
    contract = contracts.load(block)
    assert latency.strip() == " ".join(contract.latency.split())
    assert " ".join(contract.throughput.split()).startswith(throughput.strip().rstrip("…"))
    first = next((i for i in contract.interfaces if i.fields), None)
    if first is not None and block != "top":
        assert all(f"{name}:{width}" in ports for name, width in first.fields.items())
    for name, variant in templates.variants(block).items():
        assert name in variants
        for option, legal in variant.options.items():
            assert f"{option}={'/'.join(map(str, legal.legal))}" in variants
