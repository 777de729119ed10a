"""The interface every designer has: plan a round, write a block, read what the gates said, choose what to assemble."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from agents.models import Message
from agents.records import GateOutcome, Revision
from hwlib.contracts.schema import Contract
from hwlib.spec import Spec

if TYPE_CHECKING:
    from agents.tools.desk import Desk

Files = dict[str, str]
"""Verilog text by file name (``array.v``)."""


TOO_FEW = "budget: too few evaluations left for another round"
"""Why a campaign ends that has no evaluations for another round."""


class BudgetSpent(Exception):
    """A hard budget (tokens, money) does not allow the next step."""


class Unanswered(Exception):
    """A model gave no usable answer, after retries and one repair."""


@dataclass(frozen=True)
class BlockCost:
    """What a block costs in the spec's technology, without the blocks it instantiates. cycle_pj: energy a cycle."""

    area_um2: float
    period_ns: float
    cycle_pj: float | None = None


@dataclass(frozen=True)
class WorkOrder:
    """One block to write in one round. `variant` and `options` name a template; `intent` says it in words."""

    round: int
    block: str
    variant: str = ""
    options: dict[str, int | str] = field(default_factory=dict)
    intent: str = ""
    draft: int = 0
    """Which of several answers to the same order, from 0."""
    expected: dict[str, float] = field(default_factory=dict)
    """What it should change, in per cent: area and period of the block, cycles of the workload."""
    start: str = ""
    """The template a written block begins from, ``variant option=value ...``; empty: the block as it is."""

    @property
    def key(self) -> str:
        """Identifies the order within its campaign."""
        parts = [self.round, self.block, self.variant, self.options, self.intent, *([self.draft] if self.draft else [])]
        parts += [self.start] if self.start else []
        said = json.dumps(parts, sort_keys=True)
        return f"{self.round:03d}-{self.block}-{hashlib.sha256(said.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class Candidate:
    """A written block and what its gates said. `files` maps file names to text hashes in the campaign's store."""

    order: WorkOrder
    parameters: dict[str, int]
    files: dict[str, str]
    passed: bool
    outcomes: tuple[GateOutcome, ...]
    cost: BlockCost | None
    attempts: int
    model: str = ""
    prompt_version: str = ""
    note: str = ""
    """The writer's word on what was changed and why it pays."""

    @property
    def id(self) -> str:
        """The order's key: an order has one candidate, its last attempt."""
        return self.order.key

    @property
    def block(self) -> str:
        return self.order.block


@dataclass(frozen=True)
class Context:
    """What a designer may know when it plans or selects; everything here is from the campaign's records.

    `candidates` holds those of earlier rounds; `rejections` pairs (revision, reason) from reviews.
    """

    spec: Spec
    seed: int
    round: int
    best: Revision | None
    revisions: tuple[Revision, ...]
    candidates: tuple[Candidate, ...]
    lessons: tuple[str, ...]
    rejections: tuple[tuple[str, str], ...]
    orders_left: int
    """Orders the evaluation budget still pays for."""
    templates_an_order: int = 1
    """Templates that may be tried for what an order may take."""
    parent: Revision | None = None
    """What the round's plan chose to build on, once there is a plan."""
    rounds_left: int | None = None
    """Rounds that may follow this one; None: not said."""

    @property
    def base(self) -> Revision | None:
        """What to build on: the plan's choice, the best, else (none accepted) the newest that passed its gates."""
        return self.parent or self.best or next((r for r in reversed(self.revisions) if r.figures is not None), None)


@dataclass(frozen=True)
class Plan:
    """A round's plan: the top's parameters, the blocks to write, and why. No orders ends the campaign."""

    parameters: dict[str, int]
    orders: tuple[WorkOrder, ...]
    reason: str
    role: str = "planner"
    model: str = ""
    prompt_version: str = ""
    parent: str = ""
    """The revision to build on; empty: the best."""


@dataclass(frozen=True)
class Talk:
    """What was said on an order so far; the next turn goes on there. `step`: of a writer's cascade, who is next."""

    messages: tuple[Message, ...] = ()
    step: int = 0


@dataclass(frozen=True)
class Written:
    """A block's text with its origin, and the talk that led to it."""

    files: Files
    model: str = ""
    prompt_version: str = ""
    talk: Talk = Talk()
    note: str = ""


@dataclass(frozen=True)
class Reading:
    """Findings on a refused block, and the talk up to them. No findings gives the block up."""

    findings: list[str]
    talk: Talk = Talk()


class Designer(Protocol):
    """Decides what is written. Must depend on nothing but its arguments and the seed, so that a resumed campaign
    repeats itself."""

    name: str

    def plan(self, context: Context) -> Plan:
        """What to try in this round."""

    def write(
        self, order: WorkOrder, contract: Contract, parent: Files, findings: Sequence[str], desk: Desk, talk: Talk
    ) -> Written:
        """The block's files. `parent` is the block in the best design so far (empty at first), or after a failed
        attempt that attempt; `findings` then says what was wrong with it, and `talk` how it came about. `desk` has the
        tools for this order."""

    def read(self, order: WorkOrder, files: Files, outcomes: Sequence[GateOutcome], desk: Desk, talk: Talk) -> Reading:
        """Findings for the next attempt at a refused block. Tests may be left on `desk`."""

    def select(
        self, context: Context, parameters: dict[str, int], offers: Mapping[str, Sequence[Candidate]]
    ) -> dict[str, str]:
        """Which candidate of each block to assemble at the round's `parameters`: block to candidate id. `offers`
        holds, per block, the candidates that passed at them, this round's first."""
