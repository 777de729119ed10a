"""The bars of the benchmarks hold on the expert."""

from __future__ import annotations

import pytest

from hwlib.design import EXPERT, read_design, with_parameters
from tests.benchmarks import cycle_model, digits, encoder_block


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
