"""Runs a Program on the golden machine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwlib.design import Manifest
from mfm.program.program import Program
from mfm.run.machine import GoldenMachine

Int = NDArray[np.int64]


def shape_of(program: Program) -> Manifest:
    """A manifest of the machine shape `program` was compiled for."""
    return Manifest(name=f"{program.name}-target", parameters=dict(program.target), clock_ns=1.0)


def golden_machine(program: Program, noise: np.random.Generator | None = None) -> GoldenMachine:
    """A golden machine with the program's image in memory."""
    machine = GoldenMachine(shape_of(program), program.memory_bytes, noise)
    for segment in program.image:
        machine.write(segment.addr, segment.data)
    return machine


def run_golden(program: Program, inputs: dict[str, Int], noise: np.random.Generator | None = None) -> dict[str, Int]:
    """The int8 outputs [rows, cols] of `program` on int8 `inputs`, by executing its instructions in order."""
    machine = golden_machine(program, noise)
    for segment in program.feed(inputs):
        machine.write(segment.addr, segment.data)
    for item in program.chosen(inputs):
        machine.execute(item)
    return {
        slot.name: slot.decode(machine.read(slot.addr, slot.nbytes(program.target)), program.target)
        for slot in program.outputs
    }
