"""Combine blocks: areas and energies add up, the slowest sets the period, so each period has one smallest mix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from agents.designers import BlockCost

T = TypeVar("T")
Offer = tuple[T, BlockCost]


def thrifty(objective: str) -> bool:
    """Whether an objective asks for the mix of least energy."""
    return objective in ("energy", "energy_delay")


def mixes(offers: Mapping[str, Sequence[Offer[T]]], sparing: bool) -> Iterator[dict[str, Offer[T]]]:
    """For every period some offer has, slowest last, the mix within it of least area (of least energy if `sparing`).

    Every mix of least objective is among them, for any objective that grows with area, energy and period. Ties go to
    the offer that comes first. Periods some block cannot keep are left out.
    """
    periods = sorted({cost.period_ns for offered in offers.values() for _, cost in offered})
    quickest = max((min(cost.period_ns for _, cost in offered) for offered in offers.values() if offered), default=0.0)
    for period in periods:
        if period >= quickest and all(offers.values()):
            yield {block: _least([o for o in offered if o[1].period_ns <= period], sparing)
                   for block, offered in offers.items()}  # fmt: skip


def _least(offered: Sequence[Offer[T]], sparing: bool) -> Offer[T]:
    def key(offer: Offer[T]) -> tuple[float, float]:
        area, energy = offer[1].area_um2, offer[1].cycle_pj or 0.0
        return (energy, area) if sparing else (area, energy)

    return min(offered, key=key)
