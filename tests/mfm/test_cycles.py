"""The cycle model: what must hold of it whatever the design's constants are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwlib import isa
from hwlib.design import Manifest
from hwlib.errors import InputError
from mfm.program.builder import ProgramBuilder
from mfm.program.program import Program
from mfm.run.cycles import run_cycles, simulate_stream
from mfm.run.timing import NAMES, Timing
from mfm.schedule.schedule import schedule
from tests.mfm.machines import block, machine

MANIFEST = machine()


def compiled(seq: int = 9, width: int = 16) -> Program:
    return schedule(block(seq, width, 2, 24), MANIFEST, effort=0).program


def gemm(k_words: int = 8, tiles: int = 1, flags: tuple[str, ...] = ()) -> Callable[[ProgramBuilder, int], None]:
    def emit(builder: ProgramBuilder, out: int) -> None:
        strides = {f"{name}_stride": k_words for name in "abo"}
        addresses = {"a_addr": 0, "b_addr": 32, "o_addr": out, "p_addr": 0, "r_addr": 0, "act_table": 0, "gain": 0}
        builder.emit("GEMM", addresses | strides | {"m_tiles": 1, "n_tiles": tiles, "k_words": k_words}, flags)

    return emit


def cycles(*bodies: tuple[Callable[[ProgramBuilder, int], None], int], manifest: Manifest = MANIFEST) -> int:
    builder = ProgramBuilder(manifest)
    for body, out in bodies:
        body(builder, out)
    return simulate_stream(builder.finish(), manifest).cycles


def test_no_run_is_shorter_than_its_array_beats_or_its_traffic() -> None:
    program = compiled()
    timeline = run_cycles(program, MANIFEST)
    moved = [i.operands["rows"] * i.operands["row_words"] for i in program.instructions if i.op == "LOAD"]
    assert timeline.cycles > program.mac_beats == timeline.mac_beats
    assert timeline.cycles > sum(moved) * MANIFEST.word_bytes / MANIFEST.parameters["AXI_BYTES"]
    assert 0 < timeline.utilisation < 1


def test_intervals_are_ordered_and_waits_are_kept() -> None:
    program = compiled()
    found = run_cycles(program, MANIFEST).intervals
    assert [i.index for i in found] == list(range(len(program.instructions) - 1))
    retired: dict[isa.Engine, list[float]] = {engine: [] for engine in isa.Engine}
    for interval, item in zip(found, program.instructions, strict=False):
        assert interval.issue <= interval.begin <= interval.end <= interval.retire
        for engine, wait in zip(isa.Engine, item.waits, strict=True):
            # Loads are left out: the model moves them back afterwards where program fetches took their beats.
            assert wait == 0 or engine is isa.Engine.LOAD or retired[engine][wait - 1] <= interval.issue
        if retired[interval.engine]:
            assert interval.retire >= retired[interval.engine][-1]
        retired[interval.engine].append(interval.retire)


def test_independent_products_overlap_and_dependent_ones_do_not() -> None:
    free = cycles((gemm(), 64), (gemm(), 128))
    bound = cycles((gemm(), 0), (gemm(), 128))
    assert bound > free + 5


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(1, 30), st.integers(1, 8), st.integers(1, 10), st.integers(0, 3))
def test_more_work_never_takes_less(k_words: int, tiles: int, more: int, extra: int) -> None:
    assert cycles((gemm(k_words, tiles), 64)) <= cycles((gemm(k_words + more, tiles + extra), 64))
    assert cycles((gemm(k_words, tiles), 64)) <= cycles((gemm(k_words, tiles), 64), (gemm(more), 64))


SLOWER = [name for name in NAMES if not name.endswith(("_depth", "_window", "_group", "read_backlog"))]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.sampled_from(SLOWER), st.integers(1, 40))
def test_no_slower_constant_makes_a_run_faster(name: str, by: int) -> None:
    slow = MANIFEST.model_copy(update={"timing": {name: getattr(Timing(), name) + by}})
    program = compiled()
    assert run_cycles(program, slow).cycles >= run_cycles(program, MANIFEST).cycles


def test_a_farther_memory_makes_a_run_no_faster() -> None:
    program = compiled()
    found = [run_cycles(program, MANIFEST, latency).cycles for latency in (1, 5, 20, 80, 320)]
    assert found == sorted(found)
    assert found[-1] > found[0]


def test_deeper_queues_make_a_run_no_slower() -> None:
    program = compiled()
    found = [run_cycles(program, machine(QUEUE=depth)).cycles for depth in (2, 4, 8, 64)]
    assert found == sorted(found, reverse=True)


def test_an_unknown_constant_is_refused() -> None:
    with pytest.raises(InputError, match="unknown timing constant 'matrix_beet'; use some of fetch"):
        run_cycles(compiled(), MANIFEST.model_copy(update={"timing": {"matrix_beet": 1.0}}))
