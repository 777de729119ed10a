"""Commands on campaigns: run, resume, status, list, stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agents.cli import following
from agents.cli.output import Json, print_json, show
from agents.cli.seeds import Seed
from agents.cli.spending import headline, spending_tables
from hwlib.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from agents.records import Budget, CampaignResult, CampaignStatus, Cost, Revision

DEFAULT_SPEC = Path(__file__).parents[2] / "hwlib" / "specs" / "digits.yaml"
SHOWN_SPEC = "hwlib/specs/digits.yaml"
MODEL_HELP = (
    "llm only: openai:MODEL, anthropic:MODEL or chat:MODEL@http://HOST:PORT/v1; by role: "
    "planner=M,writer=M,verifier=M; a cascade of writers, the cheapest first: writer=M>M."
)
PRICES_HELP = "A table of models' prices, over the shipped one and your own (docs/campaigns.md)."
DRAFTS_HELP = "llm only: drafts of each order, of which the best is taken; fewer where the evaluations allow no more."
WITHOUT_HELP = "llm only: go without planner, lessons, condensation or roles (see rtloom ablate); repeat for more."
CHECKPOINTS_HELP = (
    "A PostgreSQL server for the checkpoints, postgresql://USER@HOST:PORT/DATABASE without a password "
    "(docs/campaigns.md); default: a file in the campaign's folder."
)
FOLLOW_HELP = (
    "Show live what it does until it ends, from another terminal; Ctrl-C leaves it alone. With --json, an object a "
    "line for each step, then the status."
)
BUDGET_HELP = (
    "A hard limit, NAME=VALUE; repeat for more. Names: rounds, evaluations, wall_s, tokens, money_usd. At a limit the "
    "campaign ends with its best design; a step that has begun is finished."
)


class DesignerChoice(StrEnum):
    """Who decides what is written."""

    SEARCH = "search"
    LLM = "llm"


class ReviewChoice(StrEnum):
    """Whether a better design waits for a person."""

    AUTO = "auto"
    WAIT = "wait"


def run(
    spec: Annotated[Path, typer.Argument(help="The spec (docs/spec.md).", show_default=SHOWN_SPEC)] = DEFAULT_SPEC,
    designer: Annotated[
        DesignerChoice, typer.Option(help="search needs no key and no network.")
    ] = DesignerChoice.SEARCH,
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "",
    budget: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help=BUDGET_HELP)] = None,
    prices: Annotated[Path | None, typer.Option(metavar="FILE", help=PRICES_HELP)] = None,
    drafts: Annotated[int, typer.Option(min=1, max=8, help=DRAFTS_HELP)] = 1,
    without: Annotated[list[str] | None, typer.Option(metavar="PART", help=WITHOUT_HELP)] = None,
    seed: Seed = 0,
    checkpoints: Annotated[str, typer.Option(metavar="URL", help=CHECKPOINTS_HELP)] = "",
    review: Annotated[
        ReviewChoice, typer.Option(help="wait: stop for `rtloom review` at each better design.")
    ] = ReviewChoice.AUTO,
    name: Annotated[str, typer.Option(help="The campaign's name; default: the spec's.")] = "",
    as_json: Json = False,
) -> int:
    """Run a campaign: agents design an accelerator for SPEC. It survives kill -9; resume continues it."""
    from agents import api
    from hwlib.spec import read_spec

    asked, limits = read_spec(spec), parse_budget(budget or [])
    called = name or asked.name
    return _follow(
        called,
        "run",
        as_json,
        lambda progress: api.start_campaign(
            asked, designer=designer.value, model=model, budget=limits, seed=seed, review=review.value, name=called,
            prices=prices, drafts=drafts, without=tuple(without or ()), checkpoints=checkpoints, progress=progress,
        ),
    )  # fmt: skip


def resume(
    campaign: Annotated[str, typer.Argument(help="The campaign's name.")],
    as_json: Json = False,
) -> int:
    """Continue a campaign after a kill, a stop or a review decision."""
    from agents import api

    return _follow(campaign, "resume", as_json, lambda progress: api.resume_campaign(campaign, progress=progress))


def replay(
    campaign: Annotated[str, typer.Argument(help="The campaign's name.")],
    name: Annotated[str, typer.Option(help="The new campaign's name; default: the old one's with -replay.")] = "",
    as_json: Json = False,
) -> int:
    """Run a campaign again as a new one, its models answering from the record, without key or network.

    Exit 1 if it does not make the same revisions again."""
    from agents import api

    with _live(campaign) as progress:
        result, same = api.replay_campaign(campaign, called=name, progress=progress)
    if as_json:
        print_json("replay", {"same": same, "why": result.why} | status_data(result.status))
    else:
        word = "the same revisions" if same else f"other revisions: see rtloom diff {campaign} {result.status.name}"
        show(status_table(result.status), f"Replayed {campaign} as {result.status.name}: {word}.")
    return 0 if same else 1


@contextmanager
def _live(name: str) -> Iterator[Any]:
    """Live progress on stderr; an interruption is one line that says how to go on."""
    from agents.cli.live import live_progress

    try:
        with live_progress() as progress:
            yield progress
    except KeyboardInterrupt:
        raise InputError("interrupted", f"campaign '{name}'", f"resume with: rtloom resume {name}") from None


def _follow(name: str, command: str, as_json: bool, work: Callable[[Any], CampaignResult]) -> int:
    """Run `work` with live progress on stderr, report how it ended; 1 if it ended with nothing accepted."""
    with _live(name) as progress:
        result = work(progress)
    if as_json:
        print_json(command, {"why": result.why, "design": result.design} | status_data(result.status))
    else:
        show(status_table(result.status), f"Ended: {result.why}.", *_next_steps(result))
    return 1 if result.status.state == "failed" else 0


def _next_steps(result: CampaignResult) -> list[str]:
    name = result.status.name
    if result.status.state == "waiting":
        return [f"Next: rtloom review {name}, then rtloom resume {name}"]
    if result.status.state == "stopped":
        return [f"Next: rtloom resume {name}"]
    return [f"Accepted design: {result.design}", f"Next: rtloom compare {name} expert"] if result.design else []


def status(
    campaign: Annotated[str, typer.Argument(help="The campaign's name.")],
    follow: Annotated[bool, typer.Option("--follow", help=FOLLOW_HELP)] = False,
    as_json: Json = False,
) -> None:
    """Show a campaign: state, round, spending, revisions, best design, lessons."""
    from agents import api

    if follow and not following.follow(campaign, as_json):
        return
    found, revisions = api.campaign_status(campaign), api.revisions(campaign)
    if as_json:
        figures = status_data(found) | {"revision_list": [revision_data(r) for r in revisions]}
        print_json("status", figures, one_line=follow)
        return
    tables = spending_tables(found.spending) if found.spending else []
    show(status_table(found), _revision_table(revisions), *tables, *(f"Lesson: {lesson}" for lesson in found.lessons))


def list_(as_json: Json = False) -> int:
    """List the campaigns here. Exit 1 if one of them is damaged; it is named, and the others are listed."""
    from rich.table import Table

    from agents import api

    found, damaged = api.survey()
    if as_json:
        print_json("list", {"campaigns": [status_data(item) for item in found], "damaged": damaged})
        return 1 if damaged else 0
    table = Table("campaign", "state", "designer", "round", "objective", "best", "evaluations", "cost (USD)")
    for item in found:
        best = _objective(item.best)
        table.add_row(item.name, item.state, item.designer, str(item.round), item.objective, best,
                      str(item.spent.evaluations), f"{item.spent.money_usd:.2f}")  # fmt: skip
    nothing = [] if damaged else ["No campaigns here; start one with: rtloom run"]
    show(*([table] if found else nothing), *(f"Damaged: {line}" for line in damaged))
    return 1 if damaged else 0


def stop(campaign: Annotated[str, typer.Argument(help="The campaign's name.")], as_json: Json = False) -> None:
    """Ask a running campaign to stop after its current step."""
    from agents import api

    api.stop_campaign(campaign)
    if as_json:
        print_json("stop", {"name": campaign, "requested": True})
    else:
        show(f"Campaign '{campaign}' stops after its current step; continue with: rtloom resume {campaign}")


def parse_budget(items: list[str]) -> Budget:
    """A Budget of NAME=VALUE items; InputError names the bad one."""
    from pydantic import ValidationError

    from agents.records import Budget

    values: dict[str, str] = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals or name not in Budget.model_fields:
            raise InputError(f"'{item}'", "--budget", f"write NAME=VALUE with one of {', '.join(Budget.model_fields)}")
        values[name] = value
    try:
        return Budget.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise InputError(f"{name}={values[name]}: {first['msg']}", "--budget") from None


def status_data(found: CampaignStatus) -> dict[str, Any]:
    """A campaign's status for JSON."""
    return {
        "name": found.name, "folder": found.folder, "state": found.state, "designer": found.designer,
        "model": found.model, "seed": found.seed, "round": found.round, "budget": found.budget,
        "spent": cost_data(found.spent), "left": following.left(found.spent, found.budget), "why": found.why,
        "objective": found.objective, "revisions": found.revisions,
        "baseline": revision_data(found.baseline), "best": revision_data(found.best),
        "pareto": [r.revision for r in found.pareto], "lessons": found.lessons, "spending": found.spending,
    }  # fmt: skip


def cost_data(cost: Cost) -> dict[str, Any]:
    """A cost for JSON."""
    return {"evaluations": cost.evaluations, "wall_s": cost.wall_s, "tokens": cost.tokens, "money_usd": cost.money_usd}


def revision_data(revision: Revision | None) -> dict[str, Any] | None:
    """A revision for JSON; null if there is none."""
    if revision is None:
        return None
    return {
        "revision": revision.revision, "parent": revision.parent, "tree_hash": revision.tree_hash,
        "round": revision.round, "state": revision.state, "role": revision.role, "model": revision.model,
        "reason": revision.reason, "parameters": revision.parameters, "variants": revision.variants,
        "gates": revision.gates, "figures": revision.figures, "cost": cost_data(revision.cost),
    }  # fmt: skip


def _objective(revision: Revision | None) -> str:
    return f"{revision.figures.objective:.4g}" if revision and revision.figures else "—"


def status_table(found: CampaignStatus) -> Table:
    """A campaign's status for people."""
    from rich.table import Table

    table = Table(title=f"Campaign {found.name}: {found.state}", title_justify="left", show_header=False)
    budget = found.budget
    table.add_row("designer", " ".join(part for part in (found.designer, found.model) if part))
    if found.why:
        table.add_row("why", found.why)
    table.add_row("round", f"{found.round} of at most {budget.rounds - 1}")
    table.add_row("spent", following.spent_line(found.spent, budget))
    if found.spending:
        table.add_row("model calls", headline(found.spending))
    shown = f"first {_objective(found.baseline)}, best {_objective(found.best)}"
    table.add_row(f"objective ({found.objective})", shown)
    table.add_row("revisions", str(found.revisions))
    table.add_row("folder", str(found.folder))
    return table


def _revision_table(revisions: list[Revision]) -> Table:
    from rich.table import Table

    table = Table("revision", "state", "gates", "area mm²", "period ns", "cycles", "latency µs", "objective", "why")
    for item in revisions:
        passed = f"{sum(gate.passed for gate in item.gates)}/{len(item.gates)}"
        f = item.figures
        cells = [f"{f.area_um2 / 1e6:.3f}", f"{f.period_ns:.2f}", str(f.cycles), f"{f.latency_us:.1f}",
                 f"{f.objective:.4g}"] if f else ["—"] * 5  # fmt: skip
        table.add_row(f"r{item.round} {item.revision[:8]}", item.state, passed, *cells, item.reason)
    return table
