"""Puts instructions in program order: each where its engine is about to need it.

The residency walk gives an order that is correct one by one, but has every load just before its use. Here an
estimate without queues says when each instruction could start; an instruction is placed when the one some
places ahead of it on its engine starts, so that queues hold work but a waiting load never blocks decoding.
"""

from __future__ import annotations

from collections.abc import Sequence

from hwlib import isa
from hwlib.design import Manifest
from mfm.program.effects import accesses
from mfm.program.hazards import ENGINES, HazardTracker, Waits
from mfm.run.timing import CostModel
from mfm.schedule.residency import Event, engine_of

TRANSFER_LEAD = 1
COMPUTE_LEAD = 3


class _Estimate:
    """Start times and placement keys, engine by engine."""

    def __init__(self, manifest: Manifest, latency: int) -> None:
        self.costs, self.manifest = CostModel(manifest, latency), manifest
        self.tracker = HazardTracker(manifest)
        self.starts: list[list[float]] = [[] for _ in range(ENGINES)]
        self.ends: list[list[float]] = [[] for _ in range(ENGINES)]
        self.keys: list[list[float]] = [[] for _ in range(ENGINES)]
        self.occupied = [0.0] * ENGINES
        self.needs: list[Waits] = []

    def key(self, event: Event) -> float:
        engine = engine_of(event)
        need = self.tracker.issue(engine, accesses(event.op, event.operands, event.flags, self.manifest))
        self.needs.append(need)
        cost = self.costs.cost(event.op, event.operands, event.flags)
        ready = max((self.ends[e][n - 1] for e, n in enumerate(need) if n), default=0.0)
        starts, ends, keys = self.starts[engine], self.ends[engine], self.keys[engine]
        free = starts[-1] + self.occupied[engine] if starts else 0.0
        start = max(ready, free)
        self.occupied[engine] = cost.work + cost.gap
        starts.append(start)
        ends.append(max(start + cost.start + cost.work + cost.done, ends[-1] if ends else 0.0))
        keys.append(self._placed(engine, need))
        return keys[-1]

    def _placed(self, engine: isa.Engine, need: Sequence[int]) -> float:
        transfer = engine in (isa.Engine.LOAD, isa.Engine.STORE)
        lead = TRANSFER_LEAD if transfer else min(COMPUTE_LEAD, self.manifest.parameters["QUEUE"] - 1)
        starts = self.starts[engine]
        wanted = starts[-1 - lead] if len(starts) > lead else 0.0
        before = max((self.keys[e][n - 1] for e, n in enumerate(need) if n), default=0.0)
        previous = self.keys[engine][-1] if self.keys[engine] else 0.0
        return max(wanted, before, previous)


def program_order(events: Sequence[Event], manifest: Manifest, latency: int = 20) -> list[tuple[Event, Waits]]:
    """`events` reordered, with what each waits for; dependent ones, and those of an engine, keep their order.

    What an instruction waits for is therefore the same in both orders.
    """
    estimate = _Estimate(manifest, latency)
    keys = [estimate.key(event) for event in events]
    order = sorted(range(len(events)), key=lambda i: (keys[i], i))
    return [(events[i], estimate.needs[i]) for i in order]
