"""What the gate `integrate` runs: values over the whole of int8, in every lane, and a fault that only those show."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from agents.workload import GoldenWorkload, WorkloadCycles, full_range, random_inputs
from hwlib.design import Design, with_parameters
from hwlib.spec import Spec, Workload
from mfm.compress.integer import QAdd, execute_all
from mfm.schedule.schedule import schedule
from tests.verification.conftest import expert, expert_text, spoiled  # noqa: F401 (fixtures)
from verification.gates import Candidate, Context, integrate

SPEC = Spec(name="full-range", workload=Workload(model="encoder-block-16-32-2-64"))
LANES = 16


def test_inputs_and_activations_take_every_int8_value(expert: Design) -> None:  # noqa: F811
    graph = full_range()
    inputs = random_inputs(schedule(graph, expert.manifest, 20, effort=0).program)
    values = execute_all(graph, inputs)
    for source in graph.inputs:
        assert len(np.unique(values[source.out])) > 240
    sums = [op for op in graph.ops if isinstance(op, QAdd)]
    assert sums
    for op in sums:
        places = [np.argwhere(values[operand] == -128)[:, 0] % LANES for operand in (op.a, op.b)]
        assert max(len(set(lanes.tolist())) for lanes in places) > LANES * 3 / 4, op.out
        assert (values[op.out].min(), values[op.out].max()) == (-128, 127)


def test_every_cycle_of_the_workload_is_told_where_it_goes(expert: Design) -> None:  # noqa: F811
    found = WorkloadCycles(SPEC)
    use, cycles = found.use(expert.manifest), found.cycles(expert.manifest)
    assert use is not None
    assert use.cycles == cycles
    assert use.beats + sum(use.lost.values()) == pytest.approx(cycles, abs=len(use.lost) * 40)
    assert set(use.work) == {"load_unit", "store_unit", "matrix_unit", "vector_unit"}
    assert use.work["matrix_unit"]["GEMM"] >= use.beats
    assert {"SOFTMAX", "LAYERNORM"} <= set(use.work["vector_unit"])
    assert all(0 < layer.cycles <= use.cycles for layer in use.layers)


@pytest.mark.slow
def test_a_top_that_writes_whole_words_where_one_row_is_loaded_is_seen(
    spoiled: Callable[[dict[str, str]], Design],  # noqa: F811
) -> None:
    wrong = expert_text("top.v", (".w2_strb(local_strb)", ".w2_strb(local_strb | {(T*D){1'b1}})"))
    design = with_parameters(spoiled({"top.v": wrong}), T=8, D=1)
    result = integrate.run(Candidate(design), Context(workload=GoldenWorkload(SPEC)))
    assert not result.passed
    assert result.findings[0].message.startswith("encoder-block-32"), str(result.findings[0])


@pytest.mark.slow
def test_a_fault_at_one_value_in_the_upper_lanes_is_seen(spoiled: Callable[[dict[str, str]], Design]) -> None:  # noqa: F811
    lane = ".x_b(x_b[8*r +: 8]),"
    wrong = ".x_b((r >= 4 && x_b[8*r +: 8] == 8'h80) ? 8'h81 : x_b[8*r +: 8]),"
    design = with_parameters(spoiled({"eltwise.v": expert_text("eltwise.v", (lane, wrong))}), T=8, D=1)
    result = integrate.run(Candidate(design), Context(workload=GoldenWorkload(SPEC)))
    assert not result.passed
    assert result.findings[0].message.startswith("encoder-block"), str(result.findings[0])
