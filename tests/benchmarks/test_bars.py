"""The bars of the benchmarks hold on the expert."""

from __future__ import annotations

import pytest

from hwlib.design import EXPERT, read_design, with_parameters
from tests.benchmarks import corners, cycle_model, digits, encoder_block, random_layers


@pytest.mark.slow
@pytest.mark.parametrize("machine", encoder_block.SHAPES)
def test_an_encoder_block_keeps_the_array_busy_and_is_bit_exact(machine: str) -> None:
    design = encoder_block.machines(read_design(EXPERT))[machine]
    assert [bar for bar in encoder_block.measure_machine(machine, design) if not bar.holds] == []


@pytest.mark.slow
@pytest.mark.parametrize("machine", digits.SHAPES)
def test_the_digits_model_is_accurate_and_bit_exact(machine: str) -> None:
    design = digits.machines(read_design(EXPERT))[machine]
    assert [bar for bar in digits.measure_machine(machine, design) if not bar.holds] == []


@pytest.mark.slow
@pytest.mark.parametrize(("workload", "parameters", "latency"), cycle_model.WORKLOADS)
def test_the_cycle_model_holds_where_it_was_not_fitted(workload: str, parameters: dict[str, int], latency: int) -> None:
    design = with_parameters(read_design(EXPERT), **parameters)
    assert [bar for bar in cycle_model.measure_workload(workload, design, latency) if not bar.holds] == []


@pytest.mark.slow
@pytest.mark.parametrize("machine", random_layers.SHAPES)
def test_random_layers_are_bit_exact(machine: str) -> None:
    design = random_layers.machines(read_design(EXPERT))[machine]
    count = random_layers.LAYERS // len(random_layers.SHAPES)
    assert [bar for bar in random_layers.measure_machine(machine, design, count, seed=0) if not bar.holds] == []


@pytest.mark.slow
@pytest.mark.parametrize("machine", corners.SHAPES)
def test_the_ends_of_the_range_work(machine: str) -> None:
    design = corners.machines(read_design(EXPERT))[machine]
    assert [bar for bar in corners.measure_corner(machine, design) if not bar.holds] == []
