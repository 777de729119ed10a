"""What a program moves between memory and the chip, layer by layer, against what it must move.

A layer must read the constants that nobody read before it, the program's inputs and what its caches held, once; write
the program's outputs and the new rows of its caches, once; and hand a tensor on through memory at most by one write of
its maker and one read of each layer that uses it. All else is moved again: constants read anew, and intermediate
results that a layer stores only to load them itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from hwlib.isa import Instruction
from mfm.program.effects import row_bytes
from mfm.program.program import CELL, Program

PADDING = 512
"""Gaps between regions shorter than this are padding."""


class Kind(IntEnum):
    """What lies at an address of a program's memory."""

    SCRATCH = 0
    CONSTANTS = 1
    PROGRAM = 2
    INPUT = 3
    OUTPUT = 4
    CACHE = 5


@dataclass(frozen=True)
class Region:
    """Bytes [addr, addr + size) of memory; adjoining ones of a kind are one. name: of a tensor, or ''."""

    kind: str
    name: str
    addr: int
    size: int


@dataclass(frozen=True)
class Traffic:
    """Bytes a layer moves.

    once: constants, inputs, outputs and caches, each once; handed: tensors it makes for, or takes from, other layers
    through memory, each once; again: the rest of `read` and `written`.
    """

    read: int = 0
    written: int = 0
    once: int = 0
    handed: int = 0

    @property
    def moved(self) -> int:
        return self.read + self.written

    @property
    def minimum(self) -> int:
        """Bytes it must move, given which tensors are handed on through memory."""
        return self.once + self.handed

    @property
    def again(self) -> int:
        return self.moved - self.minimum


def memory_map(program: Program) -> tuple[Region, ...]:
    """The regions of the program's memory by address; what no other names is scratch."""
    found = [(s.addr, len(s.data), Kind.CONSTANTS, "") for s in program.segments]
    found.append((program.program_addr, len(program.code), Kind.PROGRAM, ""))
    found += [(s.addr, s.nbytes(program.target), Kind.INPUT, s.name) for s in program.inputs if not s.choices]
    found += [(s.addr, s.nbytes(program.target), Kind.OUTPUT, s.name) for s in program.outputs]
    found += [(s.addr, s.nbytes(program.target), Kind.CACHE, s.name) for s in program.caches]
    regions: list[Region] = []
    for addr, size, kind, name in sorted(found):
        end = regions[-1].addr + regions[-1].size if regions else 0
        if addr - end >= PADDING:
            regions.append(Region("scratch", "", end, addr - end))
        last = regions[-1] if regions else None
        if last is not None and (last.kind, last.name) == (kind.name.lower(), name) and not name:
            regions[-1] = Region(last.kind, name, last.addr, addr + size - last.addr)
        else:
            regions.append(Region(kind.name.lower(), name, addr, size))
    end = regions[-1].addr + regions[-1].size
    if program.memory_bytes - end >= PADDING:
        regions.append(Region("scratch", "", end, program.memory_bytes - end))
    return tuple(regions)


class _Cells:
    """Who wrote and read each cell, and what of that had to be moved."""

    def __init__(self, program: Program) -> None:
        count = -(-program.memory_bytes // CELL)
        self.kind = np.zeros(count, dtype=np.int8)
        for region in memory_map(program):
            self.kind[region.addr // CELL : -(-(region.addr + region.size) // CELL)] = Kind[region.kind.upper()]
        self.seen = np.zeros(count, dtype=bool)
        self.stored = np.full(count, -1, dtype=np.int32)
        self.maker = np.full(count, -1, dtype=np.int32)
        self.reader = np.full(count, -1, dtype=np.int32)
        self.taken: list[int] = []

    def load(self, layer: int, runs: Iterable[slice]) -> tuple[int, int]:
        """Cells that are read for the first time at all, and those another layer hands to `layer`."""
        once = handed = 0
        for where in runs:
            stored, fresh = self.stored[where], self.reader[where] != layer
            first = (stored < 0) & ~self.seen[where]
            given = (stored >= 0) & (self.maker[where] != layer) & fresh
            for event in np.unique(stored[given & (self.reader[where] < 0)]).tolist():
                self.taken[event] += int((given & (self.reader[where] < 0) & (stored == event)).sum())
            given |= (stored < 0) & ~first & fresh & (self.kind[where] == Kind.INPUT)
            once, handed = once + int(first.sum()), handed + int(given.sum())
            self.seen[where], self.reader[where] = True, layer
        return once, handed

    def store(self, layer: int, runs: Iterable[slice]) -> int:
        """Cells of outputs and caches that are written for the first time."""
        once = 0
        self.taken.append(0)
        for where in runs:
            lasting = np.isin(self.kind[where], (Kind.OUTPUT, Kind.CACHE))
            once += int((lasting & (self.stored[where] < 0)).sum())
            self.stored[where], self.maker[where], self.reader[where] = len(self.taken) - 1, layer, -1
        return once


def layer_traffic(program: Program) -> dict[str, Traffic]:
    """The bytes each layer moves; a transfer counts for the layer it is made for."""
    cells = _Cells(program)
    names = {name: index for index, name in enumerate(dict.fromkeys(program.layers))}
    read, written, once, handed = (np.zeros(len(names), dtype=np.int64) for _ in range(4))
    stores: list[tuple[int, bool]] = []
    for item, name in zip(program.instructions, program.layers, strict=True):
        if item.op not in ("LOAD", "STORE"):
            continue
        layer, runs = names[name], _runs(item, program)
        size = sum(run.stop - run.start for run in runs)
        if item.op == "LOAD":
            first, given = cells.load(layer, runs)
            read[layer], once[layer], handed[layer] = read[layer] + size, once[layer] + first, handed[layer] + given
        else:
            first = cells.store(layer, runs)
            written[layer], once[layer] = written[layer] + size, once[layer] + first
            stores.append((layer, first > 0))
    for (layer, lasting), taken in zip(stores, cells.taken, strict=True):
        handed[layer] += 0 if lasting else taken
    totals = zip(names, *((CELL * column).tolist() for column in (read, written, once, handed)), strict=True)
    return {name: Traffic(*figures) for name, *figures in totals}


def _runs(item: Instruction, program: Program) -> list[slice]:
    """The cells of a LOAD or STORE, run by run."""
    v, length = item.operands, row_bytes(item.operands, item.flags, program.target)
    starts: NDArray[np.int64] = v["dram_addr"] + np.arange(v["rows"]) * v["dram_stride"]
    if v["rows"] > 1 and v["dram_stride"] == length:
        starts, length = starts[:1], length * v["rows"]
    return [slice(start // CELL, -(-(start + length) // CELL)) for start in starts.tolist()]
