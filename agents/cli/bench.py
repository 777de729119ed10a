"""Commands that run public benchmark suites on checkouts the user has."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agents.cli.output import Json, console, print_json, show
from hwlib.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from agents.bench import Kind, Simulator
    from agents.bench.record import Result
    from agents.bench.run import Order, Report
    from agents.models.prices import Price
    from agents.models.team import Casting

app = typer.Typer(
    help="Public benchmark suites of RTL generation.", rich_markup_mode=None, add_completion=False,
    no_args_is_help=True,
)  # fmt: skip
MODEL_HELP = (
    "Who answers: openai:MODEL, anthropic:MODEL or chat:MODEL@http://HOST:PORT/v1; by role: writer=M,verifier=M; a "
    "cascade of writers, one a text: writer=M>M."
)
BUDGET_HELP = (
    "A hard limit, NAME=VALUE; repeat for more. Names: wall_s, tokens, money_usd, of all that this run ever took. At a "
    "limit the run ends with what is judged; the same command with a higher one goes on."
)


@app.callback()
def suites() -> None:
    """Public benchmark suites of RTL generation."""


class Suite(StrEnum):
    """A suite of problems."""

    VERILOG_EVAL = "verilog-eval"
    RTLLM = "rtllm"


class Mode(StrEnum):
    """What a writer is told of the suite's bench."""

    SEALED = "sealed"
    IN_LOOP = "in-loop"


class Answers(StrEnum):
    """Answers that are no model's."""

    REFERENCE = "reference"


class Simulators(StrEnum):
    """What runs the suite's benches."""

    ICARUS = "icarus"
    VERILATOR = "verilator"
    BOTH = "both"


@app.command()
def rtl(
    suite: Annotated[Suite, typer.Argument(help="VerilogEval v2 (spec-to-RTL) or RTLLM v2.")],
    path: Annotated[Path, typer.Option(metavar="DIR", help="Your checkout of the suite.")],
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "",
    answers: Annotated[Answers | None, typer.Option(help="Grade the suite's own references instead.")] = None,
    mode: Annotated[
        Mode | None,
        typer.Option(
            help="sealed (default): the writer has the specification alone; in-loop: and what the bench prints."
        ),
    ] = None,
    simulator: Annotated[Simulators, typer.Option(help="What runs the suite's benches.")] = Simulators.BOTH,
    problems: Annotated[str, typer.Option(metavar="GLOB", help="Only problems so named.")] = "*",
    limit: Annotated[int, typer.Option(min=0, help="Only the first so many; 0: all.", show_default=False)] = 0,
    repairs: Annotated[int, typer.Option(min=0, max=20, help="Texts mended a problem, at most.")] = 2,
    budget: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help=BUDGET_HELP)] = None,
    prices: Annotated[Path | None, typer.Option(metavar="FILE", help="A table of models' prices.")] = None,
    as_json: Json = False,
) -> int:
    """Answer SUITE's problems and grade them by its own benches. Killed at any moment, the same command goes on.

    Exit 1 if problems are left unjudged, at a limit of the budget."""
    from agents.bench import run as benches
    from agents.cli.campaigns import parse_budget
    from agents.models.prices import price_list, prices_of

    if bool(model) == bool(answers):
        raise InputError("give either a model or the references", "--model, --answers", "--answers reference")
    if answers and mode:
        raise InputError("the references are nobody's writing", "--mode", "leave it out")
    casting = _casting(model) if model else None
    kind: Kind = "reference" if casting is None else (mode or Mode.SEALED).value
    limits = parse_budget(budget or [])
    if limits.model_fields_set & {"rounds", "evaluations"}:
        raise InputError(
            "a bench run has neither rounds nor evaluations", "--budget", "limit wall_s, tokens, money_usd"
        )
    both: tuple[Simulator, ...] = ("icarus", "verilator")
    chosen = tuple(name for name in both if simulator in (Simulators.BOTH, name))
    order = benches.Order(
        suite.value, path, kind, chosen, casting, repairs, problems, limit, limits
    )  # fmt: skip
    listed = prices_of(casting.words, price_list(prices)) if casting else {}
    report = _follow(order, listed)
    if as_json:
        print_json("bench rtl", _data(report))
    else:
        show(_problems(report), *_score(report), *_notes(report))
    return 1 if report.unjudged else 0


def _casting(model: str) -> Casting:
    """Who writes and verifies; suites have nothing to plan, so the planner may be left out."""
    from agents.models.team import cast

    first = model.split(",")[0]
    word = first.partition("=")[2] if first.startswith(("writer=", "verifier=")) else first
    return cast(model if "planner=" in model else f"{model},planner={word.split('>')[0]}")


def _follow(order: Order, listed: dict[str, Price]) -> Report:
    """Run it, a line a result on stderr; an interruption is one line."""
    from agents.bench import run as benches
    from agents.models import Model
    from agents.models.choose import client
    from agents.models.retry import Retrying
    from agents.models.stream import closed_on_interrupt

    err = console(stderr=True)

    def told(result: Result, kept: bool) -> None:
        if not kept:
            err.print(f"{result.problem}: " + ", ".join(f"{grade.simulator} {grade.cause}" for grade in result.grades))

    def asked(word: str) -> Model:
        return Retrying(client(word))

    try:
        with closed_on_interrupt():
            return benches.run(order, asked, listed, told)
    except KeyboardInterrupt:
        raise InputError("interrupted", f"bench {order.suite}", "the same command goes on where it was") from None


def _data(report: Report) -> dict[str, object]:
    """For JSON: the score under the name of its kind, so that two kinds cannot be mistaken for one another."""
    score = {"problems": len(report.chosen), "judged": len(report.results), "passed": report.counts(),
             "failed": report.causes()}  # fmt: skip
    return {
        "suite": report.settings.suite, "commit": report.commit or None, "content": report.content,
        "suite_problems": report.total, "kind": report.settings.kind, "settings": report.settings,
        "score": {report.settings.kind: score}, "results": report.results, "unjudged": report.unjudged,
        "why": report.why, "spent": report.spent, "folder": report.folder,
    }  # fmt: skip


def _problems(report: Report) -> Table:
    from rich.table import Table

    simulators, own = report.settings.simulators, report.settings.kind == "reference"
    table = Table("problem", *simulators, *([] if own else ["texts"]), "why not")
    for result in report.results:
        cells = [grade.cause for grade in result.grades]
        whys = [f"{grade.simulator}: {grade.detail}" for grade in result.grades if not grade.passed]
        texts = [] if own else [str(result.texts)]
        table.add_row(result.problem, *cells, *texts, "; ".join(dict.fromkeys(whys)))
    return table


def _score(report: Report) -> list[Table | str]:
    """One kind's counts, all of the same denominator."""
    from rich.table import Table

    where = f"commit {report.commit}, " if report.commit else ""
    kind, causes = report.settings.kind, report.causes()
    table = Table(f"score: {kind}", "passed", "failed")
    for name, count in report.counts().items():
        failed = ", ".join(f"{n} {cause}" for cause, n in sorted(causes.get(name, {}).items()))
        table.add_row(name, f"{count} / {len(report.chosen)}", failed)
    return [f"{report.settings.suite}, {where}content {report.content[:12]}", table]


def _notes(report: Report) -> list[str]:
    settings, spent = report.settings, report.spent
    chosen = f"{len(report.chosen)} of the suite's {report.total} problems were asked for, {len(report.results)} judged"
    lines = [f"{chosen}. Tools: {settings.tools}"]
    if settings.model:
        lines.append(f"Answers: {settings.model}; {', '.join(settings.prompts)}; at most {settings.repairs} repairs; "
                     f"{spent.tokens} tokens, {spent.money_usd:.2f} USD")  # fmt: skip
    if report.unjudged:
        lines.append(f"Unjudged, counted as not passed: {len(report.unjudged)} ({report.why})")
    return [*lines, f"Kept in {report.folder}"]
