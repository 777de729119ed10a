"""The cost model: block areas and periods at any parameter point, scaled from blocks this campaign has synthesised.

A block measured at one point is carried to another by the ratio of a size that counts what the block's contract
makes it hold (multipliers, adders, registers, memory bits). A variant never measured is assumed somewhat better than
its block's default, so that a search tries it; one measurement replaces the assumption.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agents.designers import BlockCost, Candidate, WorkOrder
from agents.parameters import relevant

HOPE = 0.9
"""Area and period of an unmeasured variant, relative to what is known of its block."""
REGISTER, ADDER, MULTIPLIER, MEMORY = 1.0, 0.9, 70.0, 0.4
"""Sizes of a register bit, an adder bit, an 8x8 multiplier with its share of the tree, and a memory bit."""
Parameters = Mapping[str, int]


def size(block: str, p: Parameters) -> float:
    """What `block` holds at parameters `p`, in register bits; only ratios of it are used."""
    t, d = p["T"], p["D"]
    word, axi = 8 * t * d, 8 * p["AXI_BYTES"]
    return {
        "array": t * t * (d * MULTIPLIER + 32 * (2 * REGISTER + ADDER)) + 2 * word,
        "requantizer": t * (16 * 32 * ADDER + 200 * REGISTER),
        "activation": p["ACT_TABLES"] * 2048 * MEMORY + p["ACT_LANES"] * 500 + 20 * t,
        "softmax": t * 300 + 200,
        "norm": t * 1500 + 500,
        "eltwise": t * 900,
        "matrix_unit": p["MATRIX_PARAMS"] * 64 * MEMORY + p["ROW_SCALES"] * 24 * t * MEMORY + 6 * word + 1500,
        "vector_unit": p["VECTOR_PARAMS"] * 64 * MEMORY + 6 * word + 1500,
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


class CostModel:
    """Predicts block costs from measured candidates. Deterministic in the set of candidates."""

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self._exact: dict[Choice, list[tuple[Candidate, BlockCost]]] = {}
        self._block: dict[str, list[tuple[Candidate, BlockCost]]] = {}
        for candidate in candidates:
            if candidate.passed and candidate.cost is not None:
                pair = (candidate, candidate.cost)
                self._exact.setdefault(choice_of(candidate.order), []).append(pair)
                self._block.setdefault(candidate.block, []).append(pair)

    def measured(self, choice: Choice, p: Parameters) -> bool:
        """Whether exactly this was synthesised at these parameters, as far as the block depends on them."""
        here = relevant(choice.block, p)
        return any(relevant(choice.block, c.parameters) == here for c, _ in self._exact.get(choice, []))

    def predict(self, choice: Choice, p: Parameters) -> BlockCost:
        """Cost of `choice` at parameters `p`. KeyError if nothing of its block was ever measured."""
        known = self._exact.get(choice)
        hope = 1.0 if known else HOPE
        candidate, cost = self._nearest(known or self._block[choice.block], choice.block, p)
        grow = size(choice.block, p) / size(choice.block, candidate.parameters)
        slow = depth(choice.block, p) / depth(choice.block, candidate.parameters)
        power = None if cost.power_mw is None else cost.power_mw * grow * hope
        return BlockCost(cost.area_um2 * grow * hope, cost.period_ns * slow * hope, power)

    @staticmethod
    def _nearest(pairs: list[tuple[Candidate, BlockCost]], block: str, p: Parameters) -> tuple[Candidate, BlockCost]:
        def far(pair: tuple[Candidate, BlockCost]) -> tuple[float, str]:
            return abs(math.log(size(block, p) / size(block, pair[0].parameters))), pair[0].id

        return min(pairs, key=far)
