"""The cost model: block areas, periods and energies at any parameter point, learnt from this campaign's syntheses.

A block measured at one point is carried to another by the ratio of a size that counts what its contract makes it hold
(multipliers, adders, registers), and of a depth of logic; a Gaussian process over variants and options does the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.designers import BlockCost, Candidate, WorkOrder
from agents.parameters import relevant

CAUTION = 1.0
"""Standard deviations by which a prediction is better than the mean."""
SPREAD = np.array([0.15, 0.25, 0.2])
"""Prior standard deviations of the logarithms of area, period and energy between variants of a block."""
NOISE = 0.05
"""Of a measurement, in prior standard deviations: it was taken beside other choices."""
AWAY = 0.2
"""Extra standard deviations for each factor of e in size from where the block was measured."""
REGISTER, ADDER, MULTIPLIER, MEMORY = 1.0, 0.9, 70.0, 0.02
"""Sizes of a register bit, an adder bit, an 8x8 multiplier with its share of the tree, and of what surrounds a memory
bit: memories themselves are macros and no area."""
Parameters = Mapping[str, int]


def size(block: str, p: Parameters) -> float:
    """What `block` holds at parameters `p`, in register bits; only ratios of it are used.

    A bit is 133 um2 in osu018. norm, eltwise and vector_unit fit the expert's syntheses at five shapes of the array.
    """
    t, d = p["T"], p["D"]
    word, axi = 8 * t * d, 8 * p["AXI_BYTES"]
    return {
        "array": t * t * (d * MULTIPLIER + 32 * (2 * REGISTER + ADDER)) + 2 * word,
        "requantizer": t * (16 * 32 * ADDER + 200 * REGISTER),
        "activation": p["ACT_TABLES"] * 2048 * MEMORY + p["ACT_LANES"] * 500 + 20 * t,
        "softmax": t * 300 + 200,
        "norm": t * 1500 + 500,
        "eltwise": t * 1180 + 330,
        "matrix_unit": p["MATRIX_PARAMS"] * 64 * MEMORY + p["ROW_SCALES"] * 24 * t * MEMORY + 6 * word + 1500,
        "vector_unit": p["VECTOR_PARAMS"] * 64 * MEMORY + 11.5 * word + 120 * t + 500,
        "scratchpad": p["WORDS"] * word * MEMORY + p["BANKS"] * 3 * word,
        "load_unit": 3 * word + 2 * axi + 600,
        "store_unit": 3 * word + 2 * axi + 600,
        "sequencer": p["QUEUE"] * 4 * 256 * MEMORY + 256 + 2 * axi + 800,
        "control": 2000.0,
        "top": 2.0 * word + 500,
    }[block]


def depth(block: str, p: Parameters) -> float:
    """Levels of logic that grow with the parameters, over a base of those that do not."""
    grows = {"array": p["D"], "scratchpad": p["BANKS"], "matrix_unit": p["T"], "vector_unit": p["T"] * p["D"]}
    return 16.0 + math.log2(max(1, grows.get(block, 1)))


@dataclass(frozen=True)
class Choice:
    """A template variant of a block with its options, hashable."""

    block: str
    variant: str
    options: tuple[tuple[str, int | str], ...] = ()

    @property
    def described(self) -> str:
        """As a manifest records it: `variant option=value ...`."""
        return " ".join([self.variant, *(f"{name}={value}" for name, value in self.options)])


def choice_of(order: WorkOrder) -> Choice:
    """The choice an order asks for."""
    return Choice(order.block, order.variant, tuple(sorted(order.options.items())))


def described(order: WorkOrder) -> str:
    """The order's template as a manifest records it; empty for a block written in words."""
    return choice_of(order).described


@dataclass(frozen=True)
class _Seen:
    """A measured (or believed) choice at a parameter point."""

    choice: Choice
    parameters: Parameters
    cost: BlockCost


class CostModel:
    """Predicts block costs from what was measured, with how sure it is.

    One Gaussian process a block on the logarithms of area, period and energy over size (Rasmussen & Williams 2006,
    algorithm 2.1); choices are alike in as far as they share variant and option values. A prediction is `CAUTION`
    standard deviations *below* the mean, so that a search tries what it does not know; exact measurements are
    returned as they are. Deterministic in the set of candidates.
    """

    def __init__(self, candidates: Iterable[Candidate], believed: tuple[_Seen, ...] = ()) -> None:
        found = sorted((c for c in candidates if c.passed and c.cost is not None), key=lambda c: c.id)
        seen = [_Seen(choice_of(c.order), c.parameters, c.cost) for c in found if c.cost is not None]
        self._exact = {(s.choice, _point(s.choice.block, s.parameters)): s.cost for s in seen}
        self._seen: dict[str, list[_Seen]] = {}
        for item in [*seen, *believed]:
            self._seen.setdefault(item.choice.block, []).append(item)
        self._candidates, self._believed = found, believed
        self._weights: dict[str, tuple[Any, Any]] = {}

    def measured(self, choice: Choice, p: Parameters) -> bool:
        """Whether exactly this was synthesised at these parameters, as far as the block depends on them."""
        return (choice, _point(choice.block, p)) in self._exact

    def predict(self, choice: Choice, p: Parameters, caution: float = CAUTION) -> BlockCost:
        """Cost of `choice` at parameters `p`. KeyError if nothing of its block was ever measured."""
        known = self._exact.get((choice, _point(choice.block, p)))
        if known is not None:
            return known
        seen = self._seen[choice.block]
        means, spreads = self._posterior(choice, p, seen)
        area, period, energy = np.exp(means - caution * spreads)
        grow, slow = size(choice.block, p), depth(choice.block, p)
        return BlockCost(float(area) * grow, float(period) * slow, float(energy) * grow)

    def believing(self, choice: Choice, p: Parameters) -> CostModel:
        """The model as if `choice` had been measured to be what is expected: choices like it promise less news."""
        expected = self.predict(choice, p, caution=0.0)
        return CostModel(self._candidates, (*self._believed, _Seen(choice, p, expected)))

    def _posterior(self, choice: Choice, p: Parameters, seen: list[_Seen]) -> tuple[Any, Any]:
        """Means and standard deviations of the three logarithms at `choice`."""
        inverse, weighted = self._fit(choice.block, seen)
        across = np.array([_alike(choice, item.choice) for item in seen])
        away = abs(math.log(size(choice.block, p) / size(choice.block, seen[0].parameters)))
        left = max(0.0, _alike(choice, choice) - float(across @ inverse @ across))
        return self._center(seen) + across @ weighted, SPREAD * math.sqrt(left + (AWAY * away) ** 2)

    def _fit(self, block: str, seen: list[_Seen]) -> tuple[Any, Any]:
        if block not in self._weights:
            kernel = np.array([[_alike(a.choice, b.choice) for b in seen] for a in seen])
            inverse = np.linalg.inv(kernel + NOISE**2 * np.eye(len(seen)))
            targets = np.array([_logarithms(item) for item in seen]) - self._center(seen)
            self._weights[block] = inverse, inverse @ targets
        return self._weights[block]

    @staticmethod
    def _center(seen: list[_Seen]) -> Any:
        return np.mean([_logarithms(item) for item in seen], axis=0)


def _logarithms(item: _Seen) -> Any:
    """Logarithms of area, period and energy, each over what it grows with."""
    grow, slow = size(item.choice.block, item.parameters), depth(item.choice.block, item.parameters)
    energy = item.cost.cycle_pj or item.cost.area_um2 * 1e-4
    return np.log([item.cost.area_um2 / grow, item.cost.period_ns / slow, energy / grow])


def _alike(a: Choice, b: Choice) -> float:
    """Share of what decides a block's cost that two choices have in common: half the variant, half its options."""
    if a.variant != b.variant:
        return 0.0
    if not a.options:
        return 1.0
    same = sum(x == y for x, y in zip(a.options, b.options, strict=True))
    return 0.5 + 0.5 * same / len(a.options)


def _point(block: str, p: Parameters) -> tuple[tuple[str, int], ...]:
    return tuple(relevant(block, p).items())
