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
Ranks = NDArray[np.int64]


def _ranks(sizes: dict[Store, int]) -> dict[Store, Ranks]:
    return {store: np.zeros((ENGINES, size), dtype=np.int64) for store, size in sizes.items()}


class HazardTracker:
    """Tracks, for every unit of storage and engine, the last instruction that read and that wrote it.

    Instructions are named by their 1-based rank within their engine, which is the retired
    count a dependent waits for. Engines retire in order, so one number per engine is enough.
    """

    def __init__(self, manifest: Manifest) -> None:
        sizes: dict[Store, int] = {store: capacity(store, manifest) for store in Store if store is not Store.MEMORY}
        sizes[Store.MEMORY] = 1024
        self._reads = _ranks(sizes)
        self._writes = _ranks(sizes)
        self.issued = [0] * ENGINES

    def _runs(self, access: Access) -> list[tuple[int, int]]:
        if access.store is not Store.MEMORY:
            size = self._reads[access.store].shape[1]
            return [piece for low, high in access.runs for piece in _wrap(low, high, size)]
        runs = [(low // MEMORY_GRANULE, -(-high // MEMORY_GRANULE)) for low, high in access.runs]
        self._grow(max(high for _, high in runs))
        return runs

    def _grow(self, size: int) -> None:
        for table in (self._reads, self._writes):
            have = table[Store.MEMORY]
            if have.shape[1] < size:
                wider = np.zeros((ENGINES, 2 * size), dtype=np.int64)
                wider[:, : have.shape[1]] = have
                table[Store.MEMORY] = wider

    def issue(self, engine: isa.Engine, touched: Iterable[Access]) -> Waits:
        """Record one more instruction of `engine`; returns the retired counts it depends on.

        Within an engine, reads and writes each happen in program order and an instruction's
        writes follow its reads, so only its own earlier writes followed by a read (RAW) need a wait.
        """
        placed = [(access, self._views(access)) for access in touched]
        need = [0] * ENGINES
        for access, views in placed:
            for writes, reads in views:
                found = writes.reshape(ENGINES, -1).max(axis=1).tolist()
                if access.write:
                    found = list(map(max, found, reads.reshape(ENGINES, -1).max(axis=1).tolist()))
                    found[engine] = 0
                need = list(map(max, need, found))
        self.issued[engine] += 1
        for access, views in placed:
            for writes, reads in views:
                (writes if access.write else reads)[engine] = self.issued[engine]
        return (need[0], need[1], need[2], need[3])

    def _views(self, access: Access) -> list[tuple[Ranks, Ranks]]:
        """The ranks of what is touched, as views of the tables of writes and reads: one where the runs are even."""
        if access.store is not Store.MEMORY and access.repeat > 1 and access.count < access.stride:
            low, high = access.start, access.start + access.repeat * access.stride
            writes, reads = self._writes[access.store], self._reads[access.store]
            if high <= reads.shape[1]:
                shape = (ENGINES, access.repeat, access.stride)
                cut = [t[:, low:high].reshape(shape)[:, :, : access.count] for t in (writes, reads)]
                return [(cut[0], cut[1])]
        runs = self._runs(access)
        writes, reads = self._writes[access.store], self._reads[access.store]
        return [(writes[:, low:high], reads[:, low:high]) for low, high in runs]


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
