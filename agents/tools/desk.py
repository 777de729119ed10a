"""Where a writer works: the order, the draft, and what of the campaign its tools may read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agents.campaign import Campaign
from agents.designers import BlockCost, Candidate, Files
from agents.evaluator import Evaluator
from agents.records import Figures
from hwlib.design import Design
from hwlib.errors import InputError

if TYPE_CHECKING:
    from verification.cone import Register


@dataclass(frozen=True)
class Built:
    """What the draft is to better in the design that is built on: the block's candidate (an id, empty: none) with its
    cost, those of the other blocks by name, and the whole's figures if it was measured. `reached`: costs of the other
    blocks that the round has written already, which the design will have in place of those in `others`."""

    candidate: str = ""
    cost: BlockCost | None = None
    figures: Figures | None = None
    others: Mapping[str, BlockCost] = field(default_factory=dict)
    reached: Mapping[str, BlockCost] = field(default_factory=dict)
    parameters: Mapping[str, int] = field(default_factory=dict)
    """Of the top, at which all these were measured."""


@dataclass(frozen=True)
class Desk:
    """One order's. Records of rounds before `round` are in reach, so that a resumed campaign reads the same.

    `order` is the key under which uses are booked; `lay_out` makes a design of the draft with everything below it.
    """

    campaign: Campaign
    judge: Evaluator
    order: str
    block: str
    round: int
    parameters: dict[str, int]
    lay_out: Callable[[Files], Design | None]
    base: Built = field(default_factory=Built)
    draft: Files = field(default_factory=dict)

    def design(self) -> Design:
        """The draft as a design to judge. InputError if there is none yet, or something below it is missing."""
        if f"{self.block}.v" not in self.draft:
            raise InputError("there is no draft yet", self.block, f"write {self.block}.v first")
        found = self.lay_out(self.draft)
        if found is None:
            raise InputError("a block it instantiates has no passing candidate", self.block)
        return found

    def cone(self, outputs: Sequence[str]) -> tuple[Register, ...]:
        """The registers that ports of the draft follow from; none if it cannot be laid out."""
        try:
            return self.judge.cone(self.design(), self.block, outputs)
        except InputError:
            return ()

    def candidates(self) -> list[Candidate]:
        """The candidates of earlier rounds."""
        return self.campaign.ledger.candidates(before=self.round)
