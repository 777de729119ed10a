"""From regions read and written to waits: who must have retired before an instruction may start."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from hwlib import isa
from hwlib.design import Manifest
from mfm.program.effects import Access, Store, capacity

ENGINES = len(isa.Engine)
MEMORY_GRANULE = 64
Waits = tuple[int, int, int, int]
Ranks = NDArray[np.int32]
VIEW_AXES = (1, 2)


class HazardTracker:
    """Tracks, for every unit of storage and engine, the last instruction that read and that wrote it.

    Instructions are named by their 1-based rank within their engine, which is the retired
    count a dependent waits for. Engines retire in order, so one number per engine is enough.
    """

    def __init__(self, manifest: Manifest) -> None:
        sizes: dict[Store, int] = {store: capacity(store, manifest) for store in Store if store is not Store.MEMORY}
        sizes[Store.MEMORY] = 1024
        self._ranks = {store: np.zeros((2 * ENGINES, size), dtype=np.int32) for store, size in sizes.items()}
        """Per storage, a row for each engine's writes, then one for each engine's reads."""
        self.issued = [0] * ENGINES

    def issue(self, engine: isa.Engine, touched: Iterable[Access]) -> Waits:
        """Record one more instruction of `engine`; returns the retired counts it depends on.

        Within an engine, reads and writes each happen in program order and an instruction's
        writes follow its reads, so only its own earlier writes followed by a read (RAW) need a wait.
        """
        placed = [(access.write, view) for access in touched for view in self._views(access)]
        need = [0] * ENGINES
        for write, view in placed:
            if write:
                found = np.maximum.reduce(view, axis=VIEW_AXES).tolist()
                found = [*map(max, found[:ENGINES], found[ENGINES:])]
                found[engine] = 0
            else:
                found = np.maximum.reduce(view[:ENGINES], axis=VIEW_AXES).tolist()
            need = [*map(max, need, found)]
        self.issued[engine] += 1
        for write, view in placed:
            view[engine if write else ENGINES + engine] = self.issued[engine]
        return (need[0], need[1], need[2], need[3])

    def _views(self, access: Access) -> list[Ranks]:
        """The ranks of what is touched, as views [ranks, runs, units]: one where the runs are even."""
        if access.store is Store.MEMORY:
            runs = [(low // MEMORY_GRANULE, -(-high // MEMORY_GRANULE)) for low, high in access.runs]
            self._grow(max(high for _, high in runs))
            table = self._ranks[access.store]
            return [table[:, None, low:high] for low, high in runs]
        table = self._ranks[access.store]
        pitch = access.stride if access.repeat > 1 and access.count < access.stride else access.count
        low, high = access.start, access.start + access.repeat * pitch
        if high <= table.shape[1] and (access.repeat == 1 or access.count <= access.stride):
            return [table[:, low:high].reshape(2 * ENGINES, access.repeat, pitch)[:, :, : access.count]]
        pieces = [piece for low, high in access.runs for piece in _wrap(low, high, table.shape[1])]
        return [table[:, None, low:high] for low, high in pieces]

    def _grow(self, size: int) -> None:
        have = self._ranks[Store.MEMORY]
        if have.shape[1] < size:
            wider = np.zeros((2 * ENGINES, 2 * size), dtype=np.int32)
            wider[:, : have.shape[1]] = have
            self._ranks[Store.MEMORY] = wider


def _wrap(low: int, high: int, size: int) -> list[tuple[int, int]]:
    """The run [low, high) in a storage that wraps after `size` units."""
    if high - low >= size:
        return [(0, size)]
    low, high = low % size, low % size + high - low
    return [(low, high)] if high <= size else [(low, size), (0, high - size)]


def encoded_waits(need: Waits, issued: Iterable[int]) -> Waits:
    """The waits as the header holds them.

    A wait older than the horizon is always met, but its 16 bits could be read as one in the
    future: it is raised to the horizon, then taken modulo 2**16.
    """
    mask = (1 << isa.WAIT_BITS) - 1
    a, b, c, d = (max(n, before - isa.WAIT_HORIZON, 0) & mask for n, before in zip(need, issued, strict=True))
    return (a, b, c, d)
