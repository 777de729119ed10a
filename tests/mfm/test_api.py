"""The model stack's public functions, what they refuse, and the RTL of the expert at a small size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hwlib import isa
from hwlib.design import EXPERT, Design, read_design, with_parameters
from hwlib.errors import InputError
from mfm import api
from mfm.compress.integer import execute
from mfm.run.calibrate import calibrate
from mfm.run.cycles import run_cycles
from mfm.run.rtl import open_runner, run_rtl
from mfm.run.timing import NAMES, Timing
from mfm.schedule.schedule import schedule
from mfm.workloads import random_input
from tests.mfm.machines import block, machine
from verification.system.simulation import MemoryModel

SMALL = "encoder-block-6-8-2-12"


@pytest.fixture(scope="module")
def expert() -> Design:
    """The expert at its smallest useful size; every RTL test here shares its one build."""
    sizes = {"T": 2, "D": 4, "WORDS": 512, "ACT_LANES": 2, "MATRIX_PARAMS": 256, "VECTOR_PARAMS": 128, "QUEUE": 4}
    return with_parameters(read_design(EXPERT), **sizes)


@pytest.mark.xdist_group("rtl")
class TestRtl:
    """On the RTL."""

    def test_every_logit_of_real_images_equals_the_golden_executors(self, expert: Design, trained: Path) -> None:
        found = api.evaluate(str(trained), expert, images=6)
        assert (found.rtl_images, found.logits_equal) == (6, True)
        assert found.test_images == 450

    @pytest.mark.parametrize("stall", [0.0, 0.4])
    def test_a_block_is_bit_exact_behind_any_memory(self, expert: Design, stall: float) -> None:
        graph = block(5, 12, 2, 20)
        program = schedule(graph, expert.manifest, effort=0).program
        batch = [random_input(graph, seed) for seed in range(3)]
        for inputs, done in zip(batch, run_rtl(program, expert, batch, MemoryModel(7, stall, 3)), strict=True):
            assert done.status == "done"
            assert np.array_equal(done.outputs[graph.output], execute(graph, inputs))
            assert done.counters["mac"] == program.mac_beats

    def test_the_three_executors_agree_where_they_overlap(self, expert: Design) -> None:
        program, compiled = api.compile_model(SMALL, expert.manifest)
        golden = api.run(program, "golden")
        modelled = api.run(program, "cycles", expert)
        measured = api.run(program, "rtl", expert)
        assert measured.outputs == golden.outputs
        assert measured.counters["mac"] == modelled.counters["mac"]
        assert modelled.cycles == compiled.cycles
        assert measured.cycles == pytest.approx(modelled.cycles, rel=0.1)

    def test_a_workload_reports_figures_that_agree(self, expert: Design) -> None:
        found = api.run_workload(SMALL, expert)
        seq, width, ff = 6, 8, 12
        assert found.macs == seq * width * (4 * width + 2 * ff) + 2 * seq * seq * width
        assert found.mac_utilisation == found.counters["mac"] / found.cycles
        assert found.model_error == found.model_cycles / found.cycles - 1
        json.dumps(found.to_json())

    def test_the_model_knows_blocks_that_softmax_holds_back(self, expert: Design) -> None:
        """Heads of 4 columns in words of 16: a softmax takes longer than its head's products."""
        graph = block(64, 16, 4, 16)
        found = schedule(graph, expert.manifest, effort=0)
        measured = run_rtl(found.program, expert, [random_input(graph)])[0]
        assert measured.counters["vector_busy"] > 1.5 * measured.counters["mac"]
        assert found.cycles == pytest.approx(measured.cycles, rel=0.02)

    def test_measured_constants_make_the_model_no_worse(self, expert: Design) -> None:
        found = calibrate(expert)
        assert set(found.timing) <= set(NAMES)
        defaults = {name: getattr(Timing(), name) for name in found.timing if name.startswith(("soft", "layer", "add"))}
        assert {name: found.timing[name] for name in defaults} == pytest.approx(defaults, abs=0.51)
        graph = block(12, 16, 2, 32)
        program = schedule(graph, expert.manifest, effort=0).program
        measured = run_rtl(program, expert, [random_input(graph)])[0].cycles
        manifest = expert.manifest.model_copy(update={"timing": found.timing})
        assert run_cycles(program, manifest).cycles == pytest.approx(measured, rel=0.05)

    def test_a_run_the_memory_refuses_is_reported_and_the_next_one_works(self, expert: Design) -> None:
        graph = block(5, 8, 2, 12)
        program = schedule(graph, expert.manifest, effort=0).program
        low = program.outputs[0].addr
        with open_runner(program, expert, MemoryModel(error_low=low, error_high=low + 1)) as runner:
            assert f"fault {isa.Fault.AXI_WRITE}" in runner.run(random_input(graph)).status
        done = run_rtl(program, expert, [random_input(graph)])[0]
        assert done.status == "done"


def test_a_missing_or_damaged_model_is_said_in_one_line(tmp_path: Path, trained: Path) -> None:
    with pytest.raises(InputError, match="no trained model here; rtloom mfm train writes one"):
        api.load_graph(str(tmp_path / "none.pt"))
    bad = tmp_path / "bad.pt"
    bad.write_bytes(trained.read_bytes()[:100])
    bad.with_suffix(".json").write_text(trained.with_suffix(".json").read_text())
    with pytest.raises(InputError, match="damaged model file"):
        api.load_graph(str(bad))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("resnet", "model: no workload 'resnet'; use digits-vit, encoder-block"),
        ("encoder-block-1-2", "bad shape in 'encoder-block-1-2'; write encoder-block-SEQ-WIDTH-HEADS-FF"),
        ("encoder-block-4-9-2-8", "bad shape in"),
        ("encoder-block-0-8-2-8", "bad shape in"),
        ("encoder-block-4-8-0-8", "bad shape in"),
        ("encoder-block-5000-8-2-8", "rows of more than 4096"),
    ],
)
def test_an_unknown_workload_is_said_in_one_line(model: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        api.load_graph(model)


def test_bad_requests_are_said_in_one_line(trained: Path) -> None:
    program, _ = api.compile_model(SMALL, machine())
    with pytest.raises(InputError, match="running on 'rtl' needs a design"):
        api.run(program, "rtl")
    with pytest.raises(InputError, match="no test image 450; there are 450"):
        api.inputs_for(program, 450)
    with pytest.raises(InputError, match="0 epochs; give at least 1"):
        api.train(epochs=0)
    with pytest.raises(InputError, match="has no test data"):
        api.evaluate(SMALL)
    with pytest.raises(InputError, match="0 images; give 1 to 450"):
        api.evaluate(str(trained), read_design(EXPERT), images=0)
    with pytest.raises(InputError, match="compiled for"):
        api.run(program, "rtl", read_design(EXPERT))
    with pytest.raises(InputError, match="no inputs to run"):
        run_rtl(program, read_design(EXPERT), [])


def test_accuracy_without_a_design_leaves_the_rtl_out(trained: Path) -> None:
    found = api.evaluate(str(trained))
    assert found.rtl_accuracy is None
    assert 0.3 < found.integer_accuracy <= 1
    assert abs(found.integer_accuracy - found.float_accuracy) < 0.03
