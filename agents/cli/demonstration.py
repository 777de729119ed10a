"""The demo command: the main job, its steps as they begin, its bounds, and the report."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agents.cli.campaigns import DEFAULT_SPEC, parse_budget, status_data
from agents.cli.output import Json, json_text, marked, show, software_revision, tool_versions, write_page
from agents.cli.seeds import Seed
from hwlib.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from agents.demonstration import Demonstration

LEAST_IMAGES = 64


def demo(
    out: Annotated[Path, typer.Option(help="Folder for report.html and report.json.")] = Path("build/demo"),
    images: Annotated[int, typer.Option(help=f"Test images on each RTL, {LEAST_IMAGES} or more.")] = LEAST_IMAGES,
    rounds: Annotated[int, typer.Option(help="Rounds of the campaign; the first judges the defaults.")] = 2,
    seed: Seed = 0,
    as_json: Json = False,
) -> int:
    """Do the main job: train a model, design an accelerator for it, run it on the RTL, compare with the expert's.

    Needs no key and no network. Exit 1 if a bound is missed. A second run reuses what the first proved.
    """
    from agents.cli.live import live_progress
    from agents.cli.output import check_folder
    from agents.demonstration import demonstrate
    from hwlib.spec import read_spec

    if images < LEAST_IMAGES:
        raise InputError(f"{images} images", "--images", f"give at least {LEAST_IMAGES}")
    check_folder(out)
    spec, budget = read_spec(DEFAULT_SPEC), parse_budget([f"rounds={rounds}"])
    try:
        with live_progress() as progress:
            found = demonstrate(spec, budget, seed, images, _announcer(), progress)
    except KeyboardInterrupt:
        raise InputError("interrupted", "demo", "run `rtloom demo` again: it goes on where it was") from None
    text = json_text("demo", demonstration_data(found))
    _write_report(found, out, text)
    if as_json:
        print(text)
    else:
        show(*demonstration_tables(found), f"Report: {out / 'report.html'} and {out / 'report.json'}")
    return 0 if all(check.holds for check in found.checks) else 1


def _announcer() -> Callable[[str], None]:
    begin = time.monotonic()
    return lambda name: print(f"[{time.monotonic() - begin:6.1f} s] {name}", file=sys.stderr, flush=True)


def _write_report(found: Demonstration, out: Path, text: str) -> None:
    from agents.report import Origin, comparison_page

    names = " ".join(entry.label for entry in found.comparison.entries)
    origin = Origin(software_revision(), tool_versions(), ["rtloom demo", f"rtloom compare {names}"])
    write_page(out / "report.html", comparison_page(found.comparison, origin, found.steps))
    write_page(out / "report.json", text + "\n")


def demonstration_data(found: Demonstration) -> dict[str, Any]:
    """The whole run for JSON."""
    from agents.compare import as_data

    return {
        "passed": all(check.holds for check in found.checks),
        "checks": found.checks,
        "steps": [{"name": step.name, "wall_s": step.seconds} for step in found.steps],
        "campaign": status_data(found.result.status) | {"why": found.result.why},
        "comparison": as_data(found.comparison),
    }


def demonstration_tables(found: Demonstration) -> list[Table | str]:
    """The whole run for a terminal."""
    from rich.table import Table

    from agents.cli.comparing import comparison_tables

    timing = Table("step", "seconds", title="time", title_justify="left")
    for step in found.steps:
        timing.add_row(step.name, f"{step.seconds:.1f}")
    timing.add_row("in all", f"{sum(step.seconds for step in found.steps):.1f}")
    bounds = Table("bound", "", "figures", title="bounds", title_justify="left")
    for check in found.checks:
        bounds.add_row(check.name, marked(check.holds, "holds", "MISSED"), check.figures)
    return [*comparison_tables(found.comparison), timing, bounds]
