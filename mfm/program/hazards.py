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


def _ranks(sizes: dict[Store, int]) -> dict[Store, NDArray[np.int64]]:
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
        placed = [(access, self._runs(access)) for access in touched]
        need = np.zeros(ENGINES, dtype=np.int64)
        for access, runs in placed:
            for low, high in runs:
                found = self._writes[access.store][:, low:high].max(axis=1)
                if access.write:
                    found = np.maximum(found, self._reads[access.store][:, low:high].max(axis=1))
                    found[engine] = 0
                need = np.maximum(need, found)
        self.issued[engine] += 1
        for access, runs in placed:
            self._record((self._writes if access.write else self._reads)[access.store], engine, runs)
        return (int(need[0]), int(need[1]), int(need[2]), int(need[3]))

    def _record(self, table: NDArray[np.int64], engine: isa.Engine, runs: list[tuple[int, int]]) -> None:
        for low, high in runs:
            table[engine, low:high] = self.issued[engine]


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
