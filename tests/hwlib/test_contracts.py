"""Contracts load, derive ports, and refuse what they do not allow."""

from __future__ import annotations

import pytest

from hwlib import contracts
from hwlib.contracts.schema import evaluate
from hwlib.design import PLATFORM
from hwlib.errors import InputError


@pytest.mark.parametrize("name", contracts.names())
def test_every_contract_loads_and_its_bench_points_are_legal(name: str) -> None:
    contract = contracts.load(name)
    assert contract.block == name
    assert contract.bench_points
    for point in contract.bench_points:
        contract.check(point)
        assert all(port.width >= 1 for port in contract.ports(point))


@pytest.mark.parametrize("name", contracts.names())
def test_port_names_are_unique(name: str) -> None:
    ports = [port.name for port in contracts.load(name).ports()]
    assert len(ports) == len(set(ports))


@pytest.mark.parametrize("name", contracts.names())
def test_a_block_uses_only_blocks_before_it_or_platform_cells(name: str) -> None:
    order = contracts.names()
    for used in contracts.load(name).uses:
        is_cell = (PLATFORM / f"{used}.v").exists()
        assert is_cell or order.index(used) < order.index(name)


def test_ports_follow_the_direction_of_the_payload() -> None:
    ports = {p.name: p for p in contracts.load("array").ports({"T": 4, "D": 2})}
    assert (ports["op_valid"].direction, ports["op_ready"].direction) == ("input", "output")
    assert (ports["acc_valid"].direction, ports["acc_ready"].direction) == ("output", "input")
    assert ports["op_a"].width == 8 * 4 * 2
    assert ports["acc_data"].width == 32 * 4


def test_axi_ports_have_their_standard_names() -> None:
    names = {p.name for p in contracts.load("top").ports()}
    assert {"m_axi_arvalid", "m_axi_araddr", "m_axi_rdata", "s_axil_awready", "s_axil_bresp"} <= names


def test_unknown_and_out_of_range_parameters_are_refused() -> None:
    contract = contracts.load("array")
    with pytest.raises(InputError, match="unknown parameter 'X'"):
        contract.check({"X": 1})
    with pytest.raises(InputError, match="T = 1; use 2 to 32"):
        contract.check({"T": 1})


def test_no_such_contract() -> None:
    with pytest.raises(InputError, match="no contract 'nothing'"):
        contracts.load("nothing")


def test_width_expressions() -> None:
    assert evaluate("8*T*D", {"T": 4, "D": 2}) == 64
    assert evaluate("clog2(WORDS)", {"WORDS": 1024}) == 10
    with pytest.raises(InputError, match="width expression"):
        evaluate("__import__('os')", {})
