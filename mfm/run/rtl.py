"""Runs a Program on a design's RTL, the whole design in Verilator behind a memory model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwlib.design import Design, Manifest
from hwlib.errors import InputError
from mfm.program.program import Program
from mfm.run.cycles import run_cycles
from verification.system.simulation import MemoryModel, Simulation, open_simulation

Int = NDArray[np.int64]

PATIENCE = 20
"""A run may take this many times the modelled cycles before it counts as hung."""


@dataclass(frozen=True)
class RtlRun:
    """One run: int8 outputs [rows, cols] by name, the counters of the control block, and how it ended.

    status: "done", or what went wrong; outputs are empty then.
    """

    outputs: dict[str, Int]
    counters: dict[str, int]
    status: str

    @property
    def cycles(self) -> int:
        return self.counters["cycles"]


class RtlRunner:
    """A simulated design with a program in its memory. Memory outlives a run, and `switch` to another program."""

    def __init__(self, simulation: Simulation, manifest: Manifest, program: Program) -> None:
        self._simulation, self._manifest = simulation, manifest
        self._loaded: set[tuple[int, int]] = set()
        self.switch(program)

    def switch(self, program: Program) -> None:
        """Make `program` the one that runs; of its image only what no program before had is written."""
        program.check(self._manifest)
        memory = self._simulation.memory
        modelled = run_cycles(program, self._manifest, memory.latency).cycles
        self._program = program
        self._max_cycles = int(PATIENCE * modelled / (1 - memory.stall) ** 2) + 100_000
        for segment in program.image:
            place = (segment.addr, len(segment.data))
            if place not in self._loaded:
                self._simulation.write(segment.addr, segment.data)
                self._loaded.add(place)

    def write_cache(self, name: str, rows: Int) -> None:
        """Make `rows` [any, cols] the first rows of cache slot `name`."""
        slot = next(slot for slot in self._program.caches if slot.name == name)
        self._simulation.write(slot.addr, slot.pack(rows, self._program.target))

    def read_cache(self, name: str, rows: int) -> Int:
        """The first `rows` rows of cache slot `name`."""
        slot, target = next(slot for slot in self._program.caches if slot.name == name), self._program.target
        return slot.decode(self._simulation.read(slot.addr, slot.nbytes(target)), rows, target)

    def run(self, inputs: Mapping[str, Int]) -> RtlRun:
        """Run once on int8 `inputs`."""
        program, simulation = self._program, self._simulation
        for segment in program.feed(inputs):
            simulation.write(segment.addr, segment.data)
        for slot in program.outputs:
            simulation.write(slot.addr, b"\xa5" * slot.nbytes(program.target))
        result = simulation.run(program.program_addr, self._max_cycles)
        problem = result.violation or (
            "" if result.status == "done" else f"{result.status} (fault {result.fault}, pc {result.pc})"
        )
        if problem:
            simulation.reset()
            return RtlRun({}, result.counters, problem)
        outputs = {
            slot.name: slot.decode(simulation.read(slot.addr, slot.nbytes(program.target)), program.target)
            for slot in program.outputs
        }
        return RtlRun(outputs, result.counters, "done")


@contextmanager
def open_runner(program: Program, design: Design, memory: MemoryModel | None = None) -> Iterator[RtlRunner]:
    """`program` loaded on `design`. Raises InputError if it is for another shape or the design does not build."""
    program.check(design.manifest)
    with open_simulation(design, memory) as simulation:
        yield RtlRunner(simulation, design.manifest, program)


def run_rtl(
    program: Program, design: Design, batch: Sequence[Mapping[str, Int]], memory: MemoryModel | None = None
) -> list[RtlRun]:
    """`program` on every input of `batch`, one after the other. Raises InputError for an empty batch."""
    if not batch:
        raise InputError("no inputs to run", program.name, "give at least one")
    with open_runner(program, design, memory) as runner:
        return [runner.run(inputs) for inputs in batch]
