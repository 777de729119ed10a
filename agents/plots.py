"""The report's plots, each an inline SVG without outside references."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agents.compare import METRICS, Comparison, Entry, figures

COLOURS = ("#2f6db3", "#d9822b", "#4c9f70", "#a05195", "#c0504d", "#7f7f7f")
PIECES = (
    "#2f6db3", "#d9822b", "#4c9f70", "#a05195", "#c0504d", "#8c6d31", "#17becf", "#e377c2", "#7f7f7f", "#bcbd22",
    "#5254a3", "#ad494a", "#6b8e23", "#b0c4de",
)  # fmt: skip
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9, "axes.spines.top": False,
    "axes.spines.right": False, "axes.edgecolor": "#888", "axes.titlesize": 10, "axes.titleweight": "bold",
    "legend.frameon": False, "legend.fontsize": 8,
}  # fmt: skip
CYCLE_COUNTERS = (
    ("mac", "array multiplying"),
    ("operand_stall", "array waits for operands"),
    ("drain_stall", "array waits to drain"),
    ("matrix_busy", "matrix unit busy"),
    ("vector_busy", "vector unit busy"),
    ("load_busy", "loading"),
    ("store_busy", "storing"),
    ("wait_matrix", "matrix held by a dependency"),
    ("wait_vector", "vector held by a dependency"),
)


def _svg(figure: Figure, name: str) -> str:
    """The figure as an <svg> element whose ids begin with `name`, with no header, metadata or namespace addresses."""
    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(text, format="svg", bbox_inches="tight", transparent=True, metadata={"Date": None})
    svg = text.getvalue()[text.getvalue().index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg).replace("url(#", f"url(#{name}-")
    return re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', f'role="img" aria-label="{name}"', svg, count=1)


def _figure(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, list[Axes]]:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.flat)


def metric_bars(comparison: Comparison) -> str:
    """One small bar chart a metric, all designs side by side."""
    figure, axes = _figure(10.5, 6.2, 3, 4)
    values = [figures(entry, comparison.setting) for entry in comparison.entries]
    for axis, metric in zip(axes, METRICS, strict=True):
        heights = [(v[metric.key] or 0) * metric.scale for v in values]
        bars = axis.bar(range(len(heights)), heights, color=COLOURS[: len(heights)], width=0.65)
        axis.bar_label(bars, labels=[_number(v[metric.key], metric.scale) for v in values], fontsize=8, padding=2)
        axis.set_title(f"{metric.title}" + (f" ({metric.unit})" if metric.unit else ""), fontsize=8.5)
        axis.set_xticks(range(len(heights)), [entry.label for entry in comparison.entries], fontsize=8)
        axis.margins(y=0.18)
        axis.tick_params(axis="y", labelsize=7)
        axis.set_xlabel(f"{metric.better} is better", fontsize=7, color="#777")
    return _svg(figure, "metrics")


def _number(value: float | None, scale: float) -> str:
    return "n/a" if value is None else f"{value * scale:.3g}" if value * scale < 1000 else f"{value * scale:,.0f}"


def pareto(comparison: Comparison) -> str:
    """Area against latency: the designs, and every revision the campaigns measured, with lines of equal product."""
    figure, (axis,) = _figure(6.2, 4.2)
    measured = [r for r in comparison.explored if r.figures is not None]
    xs = [r.figures.area_um2 / 1e6 for r in measured if r.figures]
    ys = [r.figures.latency_us for r in measured if r.figures]
    axis.scatter(xs, ys, s=26, color="#bbb", label="revisions measured", zorder=2)
    for revision, x, y in zip(measured, xs, ys, strict=True):
        axis.annotate(f"r{revision.round}", (x, y), (4, -9), textcoords="offset points", fontsize=7, color="#888")
    for colour, entry in zip(COLOURS * 9, comparison.entries, strict=False):
        point = (entry.silicon.area_um2 / 1e6, entry.latency_us)
        axis.scatter(*point, s=80, color=colour, label=entry.label, zorder=3, edgecolor="white")
        _equal_product(axis, point, colour)
    axis.set_xlim(left=0)
    axis.set_ylim(bottom=0)
    axis.set_xlabel("logic area (mm²)")
    axis.set_ylabel("latency of one inference at own clock (µs)")
    axis.legend(loc="upper right")
    return _svg(figure, "pareto")


def _equal_product(axis: Axes, point: tuple[float, float], colour: str) -> None:
    """A faint curve through `point` along which area x latency stays the same."""
    x, y = point
    steps = [0.6 + 0.05 * i for i in range(17)]
    axis.plot([x * s for s in steps], [y / s for s in steps], color=colour, alpha=0.25, linewidth=1, zorder=1)


def block_areas(comparison: Comparison) -> str:
    """Each design's logic area, stacked by block."""
    names = sorted({n for e in comparison.entries for n in e.silicon.blocks}, key=lambda n: -_largest(comparison, n))
    figure, (axis,) = _figure(8.5, 0.9 + 0.6 * len(comparison.entries))
    labels = [entry.label for entry in comparison.entries]
    left = [0.0] * len(labels)
    for colour, name in zip(PIECES * 4, names, strict=False):
        widths = [entry.silicon.blocks.get(name, 0.0) / 1e6 for entry in comparison.entries]
        axis.barh(labels, widths, left=left, color=colour, label=name, height=0.6, edgecolor="white", linewidth=0.5)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axis.invert_yaxis()
    axis.set_xlabel("logic area (mm²)")
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), ncols=1 + (len(names) > 8))
    return _svg(figure, "blocks")


def _largest(comparison: Comparison, block: str) -> float:
    return max(entry.silicon.blocks.get(block, 0.0) for entry in comparison.entries)


def cycle_shares(comparison: Comparison) -> str:
    """What the engines did, as a share of each design's cycles, by its own counters. Engines overlap."""
    figure, (axis,) = _figure(8.5, 3.6)
    bar = 0.8 / len(comparison.entries)
    for index, (colour, entry) in enumerate(zip(COLOURS * 9, comparison.entries, strict=False)):
        positions = [i + index * bar for i in range(len(CYCLE_COUNTERS))]
        axis.barh(positions, _shares(entry), height=bar * 0.92, color=colour, label=entry.label)
    axis.set_yticks([i + 0.4 - bar / 2 for i in range(len(CYCLE_COUNTERS))], [name for _, name in CYCLE_COUNTERS])
    axis.invert_yaxis()
    axis.set_xlim(0, 100)
    axis.set_xlabel("% of the run's cycles (engines work at the same time, so shares add to more than 100)")
    axis.legend(loc="lower right")
    return _svg(figure, "cycles")


def _shares(entry: Entry) -> list[float]:
    return [100 * entry.work.counters.get(key, 0) / max(1, entry.work.cycles) for key, _ in CYCLE_COUNTERS]


def progress(objectives: Sequence[tuple[str, float]], reference: tuple[str, float] | None) -> str:
    """The objective of each revision in order, the best so far, and the reference's."""
    figure, (axis,) = _figure(6.2, 3.2)
    values = [value for _, value in objectives]
    best = [min(values[: i + 1]) for i in range(len(values))]
    axis.plot(range(len(values)), values, "o", color="#999", label="revision")
    axis.step(range(len(values)), best, where="post", color=COLOURS[0], label="best so far")
    if reference is not None:
        axis.axhline(reference[1], color=COLOURS[1], linestyle="--", linewidth=1, label=reference[0])
    axis.set_xticks(range(len(values)), [name for name, _ in objectives])
    axis.set_ylim(bottom=0)
    axis.set_ylabel("area · latency (mm²·µs)")
    axis.legend()
    return _svg(figure, "progress")
