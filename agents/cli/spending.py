"""Where a campaign's model calls went, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

    from agents.spending import Share, Spending


def headline(found: Spending) -> str:
    """Calls, how much of their input caches held, and what a cascade saved, on one line."""
    calls = sum(share.calls for share in found.by_model)
    sent = sum(share.input_tokens for share in found.by_model)
    cached = sum(share.cached_tokens for share in found.by_model)
    saved = "" if found.saved_usd is None else f", {found.saved_usd:.4f} USD saved by the cascade"
    return f"{calls}, {100 * cached / max(sent, 1):.0f} % of their input cached{saved}"


def spending_tables(found: Spending) -> list[RenderableType]:
    """Calls, tokens and money by role, block and model; a cascade's steps; and what each accepted design took."""
    shown: list[RenderableType] = [_shares(found)]
    if found.cascade:
        shown.append(_cascade(found))
    if found.accepted:
        shown.append(_accepted(found))
    return shown


def _shares(found: Spending) -> RenderableType:
    from rich.table import Table

    table = Table(
        "calls for", "calls", "input", "of it cached", "output", "USD", title="Model calls", title_justify="left"
    )
    groups = (("role", found.by_role), ("block", found.by_block), ("model", found.by_model))
    for kind, shares in groups:
        for share in shares:
            table.add_row(f"{kind} {share.name}", str(share.calls), str(share.input_tokens), str(share.cached_tokens),
                          str(share.output_tokens), money(share))  # fmt: skip
        table.add_section()
    return table


def money(share: Share) -> str:
    """Dollars, and how many calls have no known price."""
    known = f"{share.money_usd:.4f}"
    return known if not share.unpriced else f"{known} and {share.unpriced} unpriced"


def _cascade(found: Spending) -> RenderableType:
    from rich.table import Table

    saved = "unknown: the last model has no price" if found.saved_usd is None else f"{found.saved_usd:.4f} USD"
    table = Table("writer", "calls", "tokens", "USD", "at the last one's price", "orders", "settled",
                  title=f"Cascade of writers, saved: {saved}", title_justify="left")  # fmt: skip
    for step in found.cascade:
        share = step.share
        other = "—" if step.at_last_usd is None else f"{step.at_last_usd:.4f}"
        table.add_row(share.name, str(share.calls), str(share.input_tokens + share.output_tokens), money(share), other,
                      str(step.orders), str(step.settled))  # fmt: skip
    return table


def _accepted(found: Spending) -> RenderableType:
    from rich.table import Table

    table = Table(
        "accepted", "evaluations", "tokens", "USD", title="Spent on each accepted design", title_justify="left"
    )
    for revision, cost in found.accepted:
        table.add_row(revision[:8], str(cost.evaluations), str(cost.tokens), f"{cost.money_usd:.4f}")
    return table
