"""Profiles account for every cycle and every byte."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from hwlib import isa
from mfm.compress.decode import looked_up
from mfm.program.program import Program
from mfm.run.cycles import run_cycles
from mfm.run.profile import CAUSES, profile
from mfm.run.traffic import layer_traffic, memory_map
from mfm.schedule.schedule import schedule
from mfm.workloads import decoder_workload
from tests.mfm.machines import block, machine

MANIFEST = machine()


def compiled(seq: int = 9, width: int = 16, words: int = 256) -> Program:
    return schedule(block(seq, width, 2, 24), machine(WORDS=words), effort=0).program


def test_layers_account_for_every_cycle() -> None:
    program = compiled()
    found, timeline = profile(program, MANIFEST), run_cycles(program, MANIFEST)
    assert found.cycles == timeline.cycles
    assert sum(layer.mac_cycles for layer in found.layers) == program.mac_beats
    assert found.busy_cycles["matrix"] == round(timeline.busy(isa.Engine.MATRIX))
    assert abs(sum(layer.cycles for layer in found.layers) - found.cycles) <= len(found.layers) * len(CAUSES)
    assert all(cycles >= 0 for layer in found.layers for cycles in layer.lost_cycles.values())
    assert [layer.name for layer in found.layers if layer.attention] == ["context"]


def test_a_slow_memory_shows_as_waiting_for_loads_and_program() -> None:
    program = compiled()
    near, far = (profile(program, MANIFEST, latency).lost_cycles for latency in (5, 200))
    assert far["load"] + far["fetch"] > near["load"] + near["fetch"] + 500
    assert far["fill"] <= near["fill"] + 100


def test_traffic_is_what_the_program_transfers() -> None:
    program = schedule(block(24, 32, 2, 64), machine(WORDS=128), effort=0).program
    moved = dict.fromkeys(("LOAD", "STORE"), 0)
    for item in program.instructions:
        if item.op in moved:
            moved[item.op] += item.operands["rows"] * item.operands["row_words"] * MANIFEST.word_bytes
    found = layer_traffic(program)
    assert sum(layer.read for layer in found.values()) == moved["LOAD"]
    assert sum(layer.written for layer in found.values()) == moved["STORE"]
    assert all(layer.again >= 0 for layer in found.values())
    assert found["hidden"].again > 0


def test_a_roomy_scratchpad_moves_everything_once() -> None:
    program = compiled(words=4096)
    found = layer_traffic(program)
    inputs = sum(slot.nbytes(program.target) for slot in (*program.inputs, *program.outputs))
    constants = sum(len(segment.data) for segment in program.segments)
    assert sum(layer.once for layer in found.values()) == inputs + constants
    assert sum(layer.again for layer in found.values()) == 0


def test_a_decode_step_must_read_its_cache() -> None:
    graph = decoder_workload("decode-step-12-16-2-2-24")
    program = schedule(graph, machine(WORDS=1024), effort=0).program
    found = layer_traffic(program)
    held = sum(cache.nbytes(program.target) for cache in program.caches)
    assert 0 < sum(layer.once for name, layer in found.items() if "context" in name) <= 2 * held + 1024


def test_looked_up_rows_are_read_once_each_and_their_table_is_constants() -> None:
    table = np.arange(64 * 8).reshape(64, 8) % 100
    program = schedule(looked_up(block(6, 8), table), machine(WORDS=1024), effort=0).program
    plain = schedule(block(6, 8), machine(WORDS=1024), effort=0).program
    assert sum(layer.again for layer in layer_traffic(program).values()) == 0
    assert {region.kind for region in memory_map(program)} == {"constants", "output", "program"}
    read, whole = (sum(layer.read for layer in layer_traffic(p).values()) for p in (program, plain))
    assert read - whole == 6 * 8 - plain.inputs[0].nbytes(plain.target)


def test_the_memory_map_has_every_byte_once() -> None:
    program = compiled()
    regions = memory_map(program)
    assert all(low.addr + low.size <= high.addr for low, high in pairwise(regions))
    assert regions[-1].addr + regions[-1].size <= program.memory_bytes
    assert {"input", "output", "constants", "program"} <= {region.kind for region in regions}
    assert [region.name for region in regions if region.kind == "input"] == [slot.name for slot in program.inputs]


@pytest.mark.parametrize("words", [128, 1024])
def test_occupancy_is_a_share(words: int) -> None:
    found = profile(compiled(words=words), machine(WORDS=words))
    assert all(0 <= share <= 1 for share in found.occupancy)
    assert 0 < max(found.occupancy) * words <= words


def test_a_smaller_scratchpad_is_fuller() -> None:
    shares = [max(profile(compiled(words=w), machine(WORDS=w)).occupancy) for w in (128, 1024)]
    assert shares[0] > shares[1]
