"""The compare command and its table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agents.cli.designs import DESIGN_HELP
from agents.cli.output import Json, print_json, show, software_revision, tool_versions, write_page

if TYPE_CHECKING:
    from rich.table import Table

    from agents.compare import Comparison


def compare(
    designs: Annotated[list[str], typer.Argument(help=DESIGN_HELP + " The last is what the others are held against.")],
    spec: Annotated[
        Path | None, typer.Option(help="Take workload, technology, clock and memory from this spec.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Also write the report as one self-contained page.")] = None,
    gates: Annotated[bool, typer.Option(help="Run gates a design has no evidence for.")] = True,
    as_json: Json = False,
) -> int:
    """Compare designs on equal terms: area, clock, power, cycles, latency, utilisation, energy, gates, cost.

    Without --spec, the setting is that of the first campaign named, else the digits spec. Exit 1 if a gate refused one.
    """
    from agents.compare import as_data
    from agents.measure import compare_designs, spec_for

    found = compare_designs(designs, spec_for(designs, spec), run_gates=gates)
    if html is not None:
        from agents.report import Origin, comparison_page

        origin = Origin(software_revision(), tool_versions(), [f"rtloom compare {' '.join(designs)} --html {html}"])
        write_page(html, comparison_page(found, origin))
    if as_json:
        print_json("compare", as_data(found))
    else:
        show(*comparison_tables(found), *([f"Report: {html}"] if html else []))
    return 1 if any(entry.verified is False for entry in found.entries) else 0


def comparison_tables(found: Comparison) -> list[Table | str]:
    """The comparison for a terminal."""
    s = found.setting
    head = (f"{s.workload}, {s.technology}, clock constraint {s.clock_ns:g} ns, memory {s.axi_bytes} bytes a cycle, "
            f"{s.latency_cycles} cycles away")  # fmt: skip
    return [head, _figure_table(found), _gate_table(found), _cost_table(found), *_alike(found), *found.notes]


def _figure_table(found: Comparison) -> Table:
    from rich.table import Table
    from rich.text import Text

    from agents.compare import METRICS, figures, standings
    from agents.report import metric_text, metric_title, standing_word

    table = Table("figure", *(entry.label for entry in found.entries), title="figures", title_justify="left")
    for entry in found.entries[:-1]:
        table.add_column(f"{entry.label} / {found.reference.label}", justify="right")
    judged = {(s.label, s.metric.key): s for s in standings(found)}
    colours = {"win": "green", "loss": "red", "equal": "default"}
    for metric in METRICS:
        cells: list[str | Text] = [
            metric_text(metric, figures(entry, found.setting)[metric.key]) for entry in found.entries
        ]
        for entry in found.entries[:-1]:
            s = judged.get((entry.label, metric.key))
            cells.append(Text(f"{s.ratio:.3f} {standing_word(s)}", colours[s.outcome]) if s else "n/a")
        table.add_row(metric_title(metric), *cells)
    return table


def _gate_table(found: Comparison) -> Table:
    from rich.table import Table
    from rich.text import Text

    from agents.report import gate_rows

    colours = {"good": "green", "bad": "red", "dim": "dim"}
    table = Table("gate", *(entry.label for entry in found.entries), title="verification", title_justify="left")
    for row in gate_rows(found.entries):
        table.add_row(row["name"], *(Text(c["text"], colours[c["style"]]) for c in row["cells"]))
    return table


def _cost_table(found: Comparison) -> Table:
    from rich.table import Table

    table = Table("design", "evaluations", "wall s", "tokens", "USD", title="design cost", title_justify="left")
    for entry in found.entries:
        c = entry.cost
        cells = [str(c.evaluations), f"{c.wall_s:.0f}", str(c.tokens), f"{c.money_usd:.2f}"] if c else ["—"] * 4
        table.add_row(entry.label, *cells)
    return table


def _alike(found: Comparison) -> list[str]:
    return [
        f"{100 * s.shared_tokens:.1f} % of {s.a}'s token runs occur in {s.b}"
        + (f" (most in {s.files[0].path}: {100 * s.files[0].shared_tokens:.1f} %)" if s.files else "")
        for s in found.similarity
    ]
