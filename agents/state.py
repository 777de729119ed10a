"""The graph's state: names and numbers only. What they name lies in the campaign's ledger and stores."""

from __future__ import annotations

from typing import Annotated, Literal

from typing_extensions import TypedDict  # before Python 3.12, pydantic makes schemas of no other

Verdict = Literal["refused", "measured", "waiting", "approved"]
"""What became of the round's revision: measured is not better than the best; waiting is, but a person must agree."""


class Order(TypedDict):
    """A WorkOrder as plain data."""

    round: int
    block: str
    variant: str
    options: dict[str, int | str]
    intent: str
    draft: int
    expected: dict[str, float]
    start: str


def merge(old: dict[str, bool], new: dict[str, bool] | None) -> dict[str, bool]:
    """Reducer of parallel branches: keyed and sorted, so arrival order does not show. None starts afresh."""
    return {} if new is None else dict(sorted((old | new).items()))


class State(TypedDict, total=False):
    """One campaign. Revisions are commit hashes; candidates map ids to whether their gates passed."""

    round: int
    parameters: dict[str, int]
    orders: list[Order]
    reason: str
    author: list[str]
    """Role, model and prompt version behind the plan."""
    base: str
    """The revision whose blocks the round builds on; empty in the first."""
    level: int
    """How many levels of the block hierarchy are written and verified."""
    candidates: Annotated[dict[str, bool], merge]
    revision: str
    verdict: Verdict
    best: str
    stale: int
    """Rounds since `best` changed."""
    ending: str
    """Why the campaign ended; empty while it goes on."""


class BlockState(TypedDict, total=False):
    """One block order on its way through write and verify."""

    order: Order
    parameters: dict[str, int]
    attempt: int
    files: dict[str, str]
    """Text hashes by file name."""
    origin: list[str]
    """Model and prompt version."""
    note: str
    """The writer's word on the files."""
    findings: list[str]
    talk: str
    """Text hash of what was said on the order; empty before anything was."""
    children: dict[str, str]
    """Candidate ids of this round's blocks of lower levels, to verify it with."""
    base: str
    done: bool
    candidates: Annotated[dict[str, bool], merge]


class BlockResult(TypedDict):
    """What a block's branch gives back."""

    candidates: Annotated[dict[str, bool], merge]
