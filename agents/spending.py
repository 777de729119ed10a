"""Where a campaign's model calls went: by role, by block, by model, by accepted design, and what a cascade saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from agents.designers import Candidate
from agents.models import Usage
from agents.models.prices import Price
from agents.records import Cost, ModelCall, Revision

WRITER = "rtl_writer"


@dataclass(frozen=True)
class Share:
    """Calls with something in common. `unpriced`: how many of them are of a model whose price is not known."""

    name: str
    calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    money_usd: float
    unpriced: int


@dataclass(frozen=True)
class Step:
    """One model of the writer's cascade. `settled` orders passed their gates as it wrote them, of the `orders` it was
    asked to write. `at_last_usd`: its calls at the last model's price; None if that is not known."""

    share: Share
    orders: int
    settled: int
    at_last_usd: float | None


@dataclass(frozen=True)
class Spending:
    """`cascade` has a step a model, if there are several; `saved_usd` is then what it spared: on the orders a cheaper
    model settled, the difference to the last model's price; less what cheaper models took on all others.
    `accepted` pairs revisions with what the rounds since the one accepted before took."""

    by_role: tuple[Share, ...] = ()
    by_block: tuple[Share, ...] = ()
    by_model: tuple[Share, ...] = ()
    cascade: tuple[Step, ...] = ()
    saved_usd: float | None = None
    accepted: tuple[tuple[str, Cost], ...] = ()


def spending(
    calls: list[ModelCall],
    candidates: list[Candidate],
    revisions: list[Revision],
    cascade: tuple[str, ...],
    prices: Mapping[str, Price],
    round_cost: Callable[[int], Cost],
) -> Spending:
    """Sort the calls. `cascade` names the writer's models in order."""
    settled = {c.id: c.model for c in candidates if c.passed}
    writing = [call for call in calls if call.role == WRITER]
    last = prices.get(cascade[-1]) if cascade else None
    several = len(cascade) > 1
    return Spending(
        by_role=_shares(calls, lambda call: call.role),
        by_block=_shares(calls, lambda call: call.block or "(planning)"),
        by_model=_shares(calls, lambda call: call.model),
        cascade=tuple(_step(name, writing, settled, last) for name in cascade) if several else (),
        saved_usd=_saved(writing, settled, cascade[-1], last) if several and last else None,
        accepted=tuple(_accepted(revisions, round_cost)),
    )


def _shares(calls: list[ModelCall], name: Callable[[ModelCall], str]) -> tuple[Share, ...]:
    """A share a name, the dearest first."""
    groups: dict[str, list[ModelCall]] = {}
    for call in calls:
        groups.setdefault(name(call), []).append(call)
    found = [_share(key, group) for key, group in sorted(groups.items())]
    return tuple(sorted(found, key=lambda s: (-s.money_usd, -s.input_tokens - s.output_tokens)))


def _share(name: str, calls: list[ModelCall]) -> Share:
    return Share(
        name,
        len(calls),
        sum(call.input_tokens for call in calls),
        sum(call.cached_tokens for call in calls),
        sum(call.output_tokens for call in calls),
        sum(call.money_usd or 0.0 for call in calls),
        sum(call.money_usd is None for call in calls),
    )


def _step(name: str, writing: list[ModelCall], settled: dict[str, str], last: Price | None) -> Step:
    calls = [call for call in writing if call.model == name]
    orders = {call.order for call in calls}
    at_last = sum(last.of(_usage(call)) for call in calls) if last else None
    return Step(_share(name, calls), len(orders), sum(settled.get(order) == name for order in orders), at_last)


def _saved(writing: list[ModelCall], settled: dict[str, str], last: str, price: Price) -> float:
    """An order that reached the last model, or none settled, would have cost the last model's calls anyway."""
    saved = 0.0
    for call in writing:
        if call.model == last:
            continue
        spared = price.of(_usage(call)) if settled.get(call.order, last) != last else 0.0
        saved += spared - (call.money_usd or 0.0)
    return saved


def _usage(call: ModelCall) -> Usage:
    return Usage(call.input_tokens, call.output_tokens, call.cached_tokens, call.written_tokens)


def _accepted(revisions: Iterable[Revision], round_cost: Callable[[int], Cost]) -> Iterable[tuple[str, Cost]]:
    since = 0
    for revision in sorted(revisions, key=lambda r: r.round):
        if revision.state in ("accepted", "superseded"):
            yield revision.revision, sum((round_cost(r) for r in range(since, revision.round + 1)), Cost())
            since = revision.round + 1
