"""The stimulus of the norm, softmax and sequencer benches: both kinds of norm, every shape of mask, every opcode."""

from __future__ import annotations

import random
from itertools import groupby, pairwise

import pytest

from hwlib import isa
from hwlib.errors import InputError
from hwlib.isa import Fault
from verification.benches import norm, softmax
from verification.benches.programs import ADDRESSES, COUNTS, Machine, defects, random_body
from verification.benches.scenario import Beat, Drive, Scenario

POINT = {"T": 4}


def row_blocks(scenario: Scenario) -> list[list[Beat]]:
    """The beats of pass 0 of each row-block."""
    drive = next(agent for agent in scenario.agents if isinstance(agent, Drive))
    passes = groupby(drive.beats, key=lambda beat: beat.payload["pass"])
    blocks: list[list[Beat]] = []
    for turn, beats in passes:
        if turn == 0:
            blocks.append(list(beats))
    return blocks


def test_layer_and_rms_norms_follow_each_other() -> None:
    scenarios = {s.name: s for s in norm.scenarios(POINT, 1, 200)}
    for name in ("full-rate", "corners", "longest"):
        kinds = [block[0].payload["rms"] for block in row_blocks(scenarios[name])]
        assert set(kinds) == {0, 1}, name
    assert all(len({beat.payload["rms"] for beat in b}) == 1 for s in scenarios.values() for b in row_blocks(s))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_row_has_a_counted_element_and_masks_take_every_shape(seed: int) -> None:
    everything = (1 << POINT["T"]) - 1
    seen = set()
    for scenario in softmax.scenarios(POINT, seed, 200):
        for block in row_blocks(scenario):
            masks = [beat.payload["mask"] for beat in block]
            counted = 0
            for mask in masks:
                counted |= mask
            assert counted == everything
            seen.add("all" if set(masks) == {everything} else "some")
            if masks[0] != everything:
                seen.add("first column masked")
            if masks[0] == everything != masks[-1] and all(a & b == b for a, b in pairwise(masks)):
                seen.add("suffix masked")
    assert seen >= {"all", "some", "first column masked", "suffix masked"}


def _decodes(word: int) -> bool:
    try:
        isa.decode(word)
    except InputError:
        return False
    return True


MACHINE = Machine(words=256, dot=4)


def test_programs_have_every_opcode_and_defects_every_checked_operand() -> None:
    assert set(COUNTS) == set(ADDRESSES) == {op.name for op in isa.OPCODES if op.engine is not None}
    rng = random.Random(1)
    used = {isa.decode(word).op for word in random_body(rng, 300, 0.3, MACHINE)}
    assert used == set(COUNTS)
    loads = [isa.decode(word) for word in random_body(rng, 600, 0.3, MACHINE) if isa.decode(word).op == "LOAD"]
    compact = [item.operands for item in loads if "COMPACT" in item.flags]
    assert {(v["space"], v["row_words"] >> 15) for v in compact} == {(1, 0), (2, 0)}
    spread = [item for item in loads if "SPREAD" in item.flags]
    assert {(item.operands["space"], "COMPACT" in item.flags) for item in spread} == {(0, False)}
    assert len({item.operands["lane"] for item in spread}) > 16
    wrong = [isa.decode(word) for word in defects(rng, Fault.ILLEGAL_INSTRUCTION, MACHINE) if _decodes(word)]
    spoiled = [item.operands for item in wrong if "COMPACT" in item.flags and item.operands["space"] < 4]
    assert {v["space"] for v in spoiled} >= {0, 3}
    assert any(v["space"] in (1, 2) and v["row_words"] >> 15 for v in spoiled)
    elsewhere = {item.operands["space"] for item in wrong if "SPREAD" in item.flags}
    assert elsewhere >= {1, 2, 3}
    longest = {isa.decode(word).operands["k_words"] for word in random_body(rng, 600, 0.3, MACHINE)
               if isa.decode(word).op == "GEMM"}  # fmt: skip
    assert max(longest) == 16383
    assert {item.operands["k_words"].bit_length() for item in wrong if item.op == "GEMM"} >= {15, 16}
    outside = {isa.decode(word).op for word in defects(rng, Fault.ADDRESS_RANGE, MACHINE)}
    assert outside == set(ADDRESSES)
