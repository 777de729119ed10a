"""Commands on differences: diff and review."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agents.cli.designs import DESIGN_HELP
from agents.cli.output import Json, marked, print_json, show, write_page
from hwlib.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from agents.review import ReviewItem


REASON_HELP = (
    "Why. A rejection's goes to the designer: search keeps `T <= 4` (<, <=, >, >=, = and any parameter of the top) and "
    "`avoid BLOCK VARIANT`, an llm reads the text."
)


def diff(
    a: Annotated[str, typer.Argument(help=DESIGN_HELP)],
    b: Annotated[str, typer.Argument(help=DESIGN_HELP)],
    html: Annotated[Path | None, typer.Option(help="Also write a page with the difference.")] = None,
    as_json: Json = False,
) -> None:
    """Show what turns design A into design B: manifest changes first, then highlighted Verilog."""
    from agents import api
    from agents.diff import as_data, diff_designs, unified

    found = diff_designs(api.resolve_design(a), api.resolve_design(b), a, b)
    if html is not None:
        from agents.report import diff_page

        write_page(html, diff_page(found))
    if as_json:
        print_json("diff", as_data(found))
    elif sys.stdout.isatty():
        from agents.diff_view import terminal

        show(terminal(found))
    else:
        sys.stdout.write(unified(found))


def review(
    campaign: Annotated[str | None, typer.Argument(help="The campaign; default: all of them.")] = None,
    approve: Annotated[str, typer.Option(metavar="REV", help="Approve this revision (rN or a hash).")] = "",
    reject: Annotated[str, typer.Option(metavar="REV", help="Reject this revision; needs --reason.")] = "",
    reason: Annotated[str, typer.Option(help=REASON_HELP)] = "",
    html: Annotated[Path | None, typer.Option(help="Also write a page with everything shown.")] = None,
    as_json: Json = False,
) -> None:
    """Show each revision that waits: diff against its parent, gates, figures; then approve or reject it."""
    from agents.review import pick, waiting

    if approve and reject:
        raise InputError("both given", "--approve, --reject", "decide one revision at a time")
    items = waiting(campaign)
    if approve or reject:
        _record(pick(items, approve or reject), bool(approve), reason, as_json)
        return
    if html is not None:
        from agents.report import review_page

        write_page(html, review_page(items))
    if as_json:
        _print_items(items)
        return
    if not items:
        show("Nothing waits for review.")
    for item in items:
        _show_item(item)
        if sys.stdin.isatty() and sys.stdout.isatty():
            _ask(item)


def _print_items(items: list[ReviewItem]) -> None:
    from agents.review import review_data

    print_json("review", {"waiting": [review_data(item) for item in items]})


def _record(item: ReviewItem, approved: bool, reason: str, as_json: bool) -> None:
    from agents.constraints import Constraints
    from agents.review import decide

    decide(item, approved, reason)
    word = "approved" if approved else "rejected"
    constraints = () if approved else Constraints.read([("", reason)], []).described
    if as_json:
        figures = {"campaign": item.campaign, "decided": item.revision.revision, "tree_hash": item.tree_hash,
                   "decision": word, "reason": reason, "constraints": constraints}  # fmt: skip
        print_json("review", figures)
    else:
        show(f"{item.campaign}:r{item.revision.round} {word}; continue with: rtloom resume {item.campaign}")
        show(*([] if approved else [_understood(constraints)]))


def _understood(constraints: tuple[str, ...]) -> str:
    """What a rejection's reason means to the designers."""
    from agents.constraints import FORMS

    if constraints:
        return f"Understood as constraints: {'; '.join(constraints)}."
    return (f"Understood as no constraint: the search designer leaves out this very design only (it reads {FORMS}); an "
            "llm designer is told the reason.")  # fmt: skip


def _ask(item: ReviewItem) -> None:
    answer = typer.prompt("approve, reject or skip [a/r/s]", default="s").strip().lower()
    if answer in ("a", "approve"):
        _record(item, True, typer.prompt("reason", default="", show_default=False), False)
    elif answer in ("r", "reject"):
        _record(item, False, typer.prompt("reason (the designer will be told)"), False)


def _show_item(item: ReviewItem) -> None:
    from rich.rule import Rule

    from agents.diff_view import terminal

    cost = item.revision.cost
    show(
        Rule(f"{item.campaign}:r{item.revision.round}  {item.revision.revision[:10]}  tree {item.tree_hash[:12]}"),
        f"Why: {item.revision.reason}",
        f"By: {item.revision.role} {item.revision.model} {item.revision.prompt_version}".rstrip(),
        f"Cost of the round: {cost.evaluations} evaluations, {cost.wall_s:.0f} s, {cost.tokens} tokens, "
        f"{cost.money_usd:.2f} USD",
        terminal(item.diff),
        _gate_table(item),
        _delta_table(item),
    )


def _gate_table(item: ReviewItem) -> Table:
    from rich.table import Table

    table = Table("gate", "scope", "result", "finding", title="gates", title_justify="left")
    for gate in item.revision.gates:
        result = marked(gate.passed, "passed", "refused")
        table.add_row(gate.gate, gate.scope, result, gate.findings[0] if gate.findings else "")
    return table


def _delta_table(item: ReviewItem) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table("figure", "parent", "this", "change", title="figures", title_justify="left")
    for d in item.deltas:
        ratio = "" if d.ratio is None else f"{(d.ratio - 1) * 100:+.1f} %"
        colour = {True: "green", False: "red", None: "default"}[d.better]
        unit = f" {d.unit}" if d.unit else ""
        cells = [("—" if v is None else f"{v:,.5g}{unit}") for v in (d.old, d.new)]
        table.add_row(d.name, *cells, Text(ratio, colour))
    return table
