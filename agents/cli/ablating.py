"""Commands on what a model's work was worth: transcript and ablate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agents.cli.campaigns import BUDGET_HELP, DEFAULT_SPEC, MODEL_HELP, SHOWN_SPEC, parse_budget
from agents.cli.output import Json, print_json, show
from agents.cli.seeds import Seed
from hwlib.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from agents.ablation import Arm
    from agents.transcripts import Transcript

WITHOUT_HELP = "Compare only these: planner, lessons, condensation, roles, models (search alone); repeat."


def transcript(
    campaign: Annotated[str, typer.Argument(help="The campaign's name.")],
    as_json: Json = False,
) -> int:
    """Say what a campaign's recorded model calls show: calls, repairs and why, edits, tools, tokens."""
    from agents import transcripts
    from agents.campaign import Campaign

    opened = Campaign.open(campaign)
    try:
        found = transcripts.read(opened.exchanges)
    finally:
        opened.close()
    if as_json:
        print_json("transcript", {"campaign": campaign, "calls": found.calls, "repairs": found.repairs,
                                  "transcript": found})  # fmt: skip
    else:
        show(*_transcript_parts(found))
    return 0


def ablate(
    spec: Annotated[Path, typer.Argument(help="The spec (docs/spec.md).", show_default=SHOWN_SPEC)] = DEFAULT_SPEC,
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "",
    budget: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help=BUDGET_HELP)] = None,
    without: Annotated[list[str] | None, typer.Option(metavar="PART", help=WITHOUT_HELP)] = None,
    seed: Seed = 0,
    name: Annotated[str, typer.Option(help="Campaigns are called NAME-full, NAME-no-PART; default: the spec's.")] = "",
    as_json: Json = False,
) -> int:
    """Run campaigns at equal budget, each without a part of the LLM designer, and print what every part is worth.

    Unless others are named, the last is the search designer's, with as many evaluations as the first spent.

    An interrupted comparison goes on where it was."""
    from agents import ablation
    from agents.cli.live import live_progress
    from hwlib.spec import read_spec

    asked, limits = read_spec(spec), parse_budget(budget or [])
    try:
        with live_progress() as progress:
            found = list(ablation.compare(asked, model, limits, seed, tuple(without or ()), name, progress))
    except KeyboardInterrupt:
        raise InputError("interrupted", "ablate", "the same command goes on where it was") from None
    if as_json:
        print_json("ablate", {"spec": asked.name, "model": model, "budget": limits, "arms": found})
    else:
        show(_arms_table(found))
    return 0


def _arms_table(found: list[Arm]) -> Table:
    from rich.table import Table

    table = Table("without", "objective", "of baseline", "evaluations", "calls", "repairs", "bad edits", "tokens",
                  "USD", "ended", title="at equal budget", title_justify="left")  # fmt: skip
    for arm in found:
        numbers = [f"{arm.objective:.4g}", f"{arm.gain:.3f}"] if arm.objective and arm.gain else ["none", ""]
        table.add_row(
            arm.without, *numbers, str(arm.spent.evaluations), str(arm.calls), str(arm.repairs),
            str(arm.rejected_edits), str(arm.spent.tokens), f"{arm.spent.money_usd:.2f}", arm.why,
        )  # fmt: skip
    return table


def _transcript_parts(found: Transcript) -> list[Table | str]:
    from rich.table import Table

    roles = Table("role", "calls", "repairs", "cut short", "refused", "tokens in", "cached", "tokens out",
                  "longest prompt", title="model calls", title_justify="left")  # fmt: skip
    for role in found.roles:
        figures = (role.calls, role.repairs, role.truncated, role.refused, role.input_tokens, role.cached_tokens,
                   role.output_tokens, role.longest_tokens)  # fmt: skip
        roles.add_row(role.name, *map(str, figures))
    parts: list[Table | str] = [roles]
    parts += [f"{count} times repaired: {cause}" for cause, count in found.causes.items()]
    parts += [f"{count} times tool {name}" for name, count in found.tools.items()]
    parts.append(f"{found.edits} edits, {found.rejected_edits} answers with one that did not apply")
    return parts
