"""Self-contained HTML pages: the comparison report, a difference, and what waits for review."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from agents.compare import METRICS, Comparison, Entry, Metric, Standing, figures, standings
from agents.diff import DesignDiff
from agents.similarity import SHINGLE

if TYPE_CHECKING:
    from agents.review import ReviewItem

WEB = Path(__file__).parent / "web"
UNKNOWN = "n/a"


@dataclass(frozen=True)
class Step:
    """A step of the main job and how long it took."""

    name: str
    seconds: float


@dataclass(frozen=True)
class Origin:
    """What the page says of how it came to be: rtloom's revision, tools by version, commands that make it again."""

    revision: str
    tools: Mapping[str, str]
    commands: Sequence[str]


@lru_cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(WEB),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _page(template: str, title: str, **values: Any) -> str:
    style = (WEB / "style.css").read_text() + values.pop("extra_style", "")
    return _environment().get_template(template).render(title=title, style=Markup(style), **values)


def diff_page(diff: DesignDiff) -> str:
    """A page with the difference, Verilog highlighted."""
    from agents.diff_view import page_fields, page_files, page_style

    return _page("diff.html.j2", f"{diff.a} → {diff.b}", a=diff.a, b=diff.b, fields=page_fields(diff),
                 files=page_files(diff), extra_style=page_style())  # fmt: skip


def review_page(items: Sequence[ReviewItem]) -> str:
    """A page with every waiting revision: difference, gates, figures, and the commands that decide."""
    from agents.diff_view import page_fields, page_files, page_style

    shown = [
        {"campaign": i.campaign, "revision": i.revision, "tree_hash": i.tree_hash, "deltas": i.deltas, "diff": i.diff,
         "fields": page_fields(i.diff), "files": page_files(i.diff)} for i in items
    ]  # fmt: skip
    return _page("review.html.j2", "Waiting for review", items=shown, number=_short, extra_style=page_style())


def _short(value: float | None) -> str:
    return "—" if value is None else f"{value:,.5g}"


def comparison_page(comparison: Comparison, origin: Origin, steps: Sequence[Step] = ()) -> str:
    """The comparison report."""
    from agents import plots

    found = standings(comparison)
    drawn = {
        "metrics": plots.metric_bars(comparison),
        "pareto": plots.pareto(comparison),
        "blocks": plots.block_areas(comparison),
        "cycles": plots.cycle_shares(comparison),
        "progress": _progress(comparison),
    }
    return _page(
        "report.html.j2",
        " and ".join(entry.label for entry in comparison.entries),
        comparison=comparison,
        setting=comparison.setting,
        rivals=comparison.entries[:-1],
        tiles=_tiles(comparison),
        rows=[_row(metric, comparison, found) for metric in METRICS],
        plots=drawn,
        counters=_names(entry.work.counters for entry in comparison.entries),
        parameters=_names(entry.parameters for entry in comparison.entries),
        variants=_names(entry.variants for entry in comparison.entries),
        gates=gate_rows(comparison.entries),
        percent=lambda share: f"{100 * share:.1f} %",
        shingle=SHINGLE,
        steps=steps,
        revision=origin.revision,
        tools=", ".join(f"{name} {version}" for name, version in origin.tools.items()),
        commands=origin.commands,
        wins=sum(s.outcome == "win" for s in found),
        losses=sum(s.outcome == "loss" for s in found),
        equals=sum(s.outcome == "equal" for s in found),
    )


def _progress(comparison: Comparison) -> str:
    from agents import plots

    points = [
        (f"r{r.round}", r.figures.area_um2 / 1e6 * r.figures.latency_us) for r in comparison.explored if r.figures
    ]
    reference = comparison.reference
    return plots.progress(points, (reference.label, reference.area_delay)) if points else ""


def _names(mappings: Any) -> list[str]:
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _tiles(comparison: Comparison) -> list[dict[str, str]]:
    """The headline of each rival: the figures an architect asks first."""
    first, base = comparison.entries[0], comparison.reference
    latency = f"{first.latency_us:.1f} µs"
    tiles = [
        {"name": f"{first.label}: latency", "value": latency, "note": _versus(first.latency_us, base.latency_us, base)},
        {"name": f"{first.label}: logic area", "value": f"{first.silicon.area_um2 / 1e6:.3f} mm²",
         "note": _versus(first.silicon.area_um2, base.silicon.area_um2, base)},
        {"name": f"{first.label}: area · latency", "value": f"{first.area_delay:.4g} mm²·µs",
         "note": _versus(first.area_delay, base.area_delay, base)},
        {"name": f"{first.label}: gates", "value": verification_word(first),
         "note": f"{base.label}: {verification_word(base)}"},
    ]  # fmt: skip
    return tiles


def _versus(value: float, base: float, reference: Entry) -> str:
    return "" if value == base else f"{value / base:.2f} of {reference.label}'s"


def verification_word(entry: Entry) -> str:
    """One phrase on an entry's gates."""
    if not entry.gates:
        return "not run"
    refused = [gate.gate for gate in entry.gates if not gate.passed]
    return f"refused by {', '.join(dict.fromkeys(refused))}" if refused else "all passed"


def _row(metric: Metric, comparison: Comparison, found: Sequence[Standing]) -> dict[str, Any]:
    values = [figures(entry, comparison.setting)[metric.key] for entry in comparison.entries]
    standing = {s.label: s for s in found if s.metric is metric}
    return {
        "title": metric_title(metric),
        "cells": [metric_text(metric, value) for value in values],
        "standings": [_standing_cell(standing.get(entry.label)) for entry in comparison.entries[:-1]],
    }


def metric_title(metric: Metric) -> str:
    """The metric's title with its unit."""
    return f"{metric.title} ({metric.unit})" if metric.unit else metric.title


def metric_text(metric: Metric, value: float | None) -> str:
    """A figure in the unit people see, four significant digits."""
    if value is None:
        return UNKNOWN
    scaled = value * metric.scale
    return f"{scaled:,.0f}" if scaled >= 1000 or metric.key == "cycles" else f"{scaled:.4g}"


def _standing_cell(standing: Standing | None) -> dict[str, str]:
    if standing is None:
        return {"style": "dim", "text": UNKNOWN}
    style = {"win": "good", "loss": "bad", "equal": "dim"}[standing.outcome]
    return {"style": style, "text": f"{standing.ratio:.3f} {standing_word(standing)}"}


def standing_word(standing: Standing) -> str:
    """better, worse or equal."""
    return {"win": "better", "loss": "worse", "equal": "equal"}[standing.outcome]


def gate_rows(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """A row a gate, a cell an entry: passed, refused with its first finding, or not run."""
    names = _names({gate.gate: gate for gate in entry.gates} for entry in entries)
    return [{"name": name, "cells": [_gate_cell(entry, name) for entry in entries]} for name in names]


def _gate_cell(entry: Entry, name: str) -> dict[str, str]:
    outcomes = [gate for gate in entry.gates if gate.gate == name]
    if not outcomes:
        return {"style": "dim", "text": "not run"}
    refused = next((gate for gate in outcomes if not gate.passed), None)
    if refused is not None:
        return {"style": "bad", "text": f"refused: {(refused.findings or ('',))[0]}"}
    return {"style": "good", "text": "passed"}
