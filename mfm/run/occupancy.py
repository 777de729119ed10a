"""How much of the scratchpad holds something that is still to be read, over a modelled run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwlib.design import Manifest
from mfm.program.effects import Access, Store, accesses
from mfm.program.program import Program
from mfm.run.cycles import Timeline

SLICES = 200


def scratchpad_occupancy(program: Program, manifest: Manifest, timeline: Timeline) -> tuple[float, ...]:
    """The share of words in use, on average in each of `SLICES` equal parts of the run.

    A word is in use from the first write since it was last read to the last read before the next write.
    """
    words = manifest.parameters["WORDS"]
    edges = np.zeros(SLICES + 1)
    born, last = np.zeros(words), np.zeros(words)
    scale = SLICES / max(1, timeline.cycles)

    def retire(which: NDArray[np.int64]) -> None:
        for times, sign in ((born[which], 1), (last[which], -1)):
            where = np.minimum(times * scale, SLICES)
            low = np.minimum(where.astype(np.int64), SLICES - 1)
            np.add.at(edges, low, sign * (1 - (where - low)))
            np.add.at(edges, low + 1, sign * (where - low))

    for interval in timeline.intervals:
        item = program.instructions[interval.index]
        touched = accesses(item.op, item.operands, item.flags, manifest)
        for access in (a for a in touched if a.store is Store.SCRATCHPAD and not a.write):
            last[_units(access, words)] = interval.end
        for access in (a for a in touched if a.store is Store.SCRATCHPAD and a.write):
            which = _units(access, words)
            read = last[which] > born[which]
            retire(which[read])
            fresh = which[read | (born[which] == 0)]
            born[fresh] = last[fresh] = interval.begin
    retire(np.flatnonzero(last > born))
    return tuple(np.round(np.cumsum(edges[:-1]) / words, 4).tolist())


def _units(access: Access, words: int) -> NDArray[np.int64]:
    found: NDArray[np.int64] = np.unique(np.concatenate([np.arange(low, high) for low, high in access.runs]) % words)
    return found
