"""The plot of a profile: roofline of its layers, cycles by cause, and scratchpad in use over the run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agents.plots import COLOURS, PIECES, STYLE
from hwlib.errors import InputError
from mfm.run.profile import CAUSES, LayerProfile, Profile

FORMATS = (".svg", ".png")
MOST = 24
"""Layers with a bar of their own; the longest are shown."""


def draw(profile: Profile, path: Path, title: str) -> None:
    """Write the plot of `profile` to `path`. Raises InputError for a name that is not .svg or .png, or unwritable."""
    if path.suffix not in FORMATS:
        raise InputError(f"'{path.name}' is not a plot's name", "--plot", f"end it with {' or '.join(FORMATS)}")
    with mpl.rc_context(STYLE | {"svg.hashsalt": "profile"}):
        figure = Figure(figsize=(11, 8), layout="constrained")
        axes = figure.subplots(2, 2, height_ratios=(3, 1), width_ratios=(1, 1)).flat
        _roofline(axes[0], profile)
        _causes(axes[1], profile)
        _occupancy(axes[2], profile)
        _traffic(axes[3], profile)
        figure.suptitle(title)
        metadata: dict[str, Any] = {"Date": None} if path.suffix == ".svg" else {"Software": None}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, metadata=metadata)
        except OSError as error:
            raise InputError(f"cannot write: {error.strerror}", str(path)) from None


def points(profile: Profile) -> list[tuple[str, float, float]]:
    """Layers that multiply: name, multiply-accumulates a byte it moves, and a cycle that is its own."""
    each = profile.peak_macs
    return [
        (layer.name, each * layer.mac_cycles / max(1, layer.bytes_moved), each * layer.utilisation)
        for layer in profile.layers
        if layer.mac_cycles
    ]


def _roofline(axis: Axes, profile: Profile) -> None:
    found = points(profile)
    whole = profile.peak_macs * profile.utilisation
    intensity = whole * profile.cycles / max(1, profile.bytes_moved)
    ridge = profile.peak_macs / profile.bus_bytes
    span = [x for _, x, _ in found] + [ridge, intensity]
    xs = np.geomspace(min(span) / 2, max(span) * 2, 200)
    axis.plot(xs, np.minimum(profile.peak_macs, profile.bus_bytes * xs), color="#555", label="roof")
    axis.scatter([x for _, x, _ in found], [y for _, _, y in found], s=18, color=COLOURS[0], label="layers", zorder=3)
    axis.scatter([intensity], [whole], s=60, marker="D", color=COLOURS[1], label="whole program", zorder=4)
    for name, x, y in sorted(found, key=lambda item: item[2])[:4]:
        axis.annotate(name, (x, y), (4, -9), textcoords="offset points", fontsize=7, color="#666")
    axis.set_xscale("log", base=2)
    axis.set_yscale("log", base=2)
    axis.set_ylim(min(profile.peak_macs / 16, *(y for _, _, y in found), whole) / 1.2, profile.peak_macs * 1.3)
    for scale in (axis.xaxis, axis.yaxis):
        scale.set_major_formatter("{x:g}")
    axis.set_xlabel("multiply-accumulates a byte of memory traffic")
    axis.set_ylabel("multiply-accumulates a cycle")
    axis.set_title(f"Roofline: {profile.peak_macs} MACs, {profile.bus_bytes} bytes a cycle")
    axis.legend(loc="lower right")


def _causes(axis: Axes, profile: Profile) -> None:
    layers = _longest(profile.layers)
    names = [layer.name for layer in layers]
    left = np.zeros(len(layers))
    for colour, cause in zip(PIECES, ("beats", *CAUSES), strict=False):
        widths = np.array([layer.mac_cycles if cause == "beats" else layer.lost_cycles[cause] for layer in layers])
        axis.barh(names, widths, left=left, color=colour, label=cause, height=0.7)
        left = left + widths
    axis.invert_yaxis()
    axis.tick_params(axis="y", labelsize=7)
    axis.set_title("Cycles: array beats, and what the array waits for")
    axis.legend()


def _longest(layers: Sequence[LayerProfile]) -> list[LayerProfile]:
    """The layers with the most cycles, in their order."""
    kept = sorted((layer for layer in layers if layer.cycles), key=lambda layer: -layer.cycles)[:MOST]
    return [layer for layer in layers if layer in kept]


def _occupancy(axis: Axes, profile: Profile) -> None:
    steps = np.linspace(0, profile.cycles, len(profile.occupancy), endpoint=False)
    axis.fill_between(steps, 100 * np.array(profile.occupancy), step="post", color=COLOURS[2], alpha=0.6)
    axis.set_ylim(0, 100)
    axis.set_xlabel("cycle")
    axis.set_title("Scratchpad in use (%)")


def _traffic(axis: Axes, profile: Profile) -> None:
    layers = [layer for layer in _longest(profile.layers) if layer.bytes_moved]
    places = range(len(layers))
    axis.bar(places, [layer.bytes_minimum / 1e3 for layer in layers], color=COLOURS[0], label="minimum")
    again = [layer.bytes_again / 1e3 for layer in layers]
    axis.bar(places, again, bottom=[x.bytes_minimum / 1e3 for x in layers], color=COLOURS[1], label="moved again")
    axis.set_xticks(places, [layer.name for layer in layers], rotation=90, fontsize=6)
    axis.set_title("Memory traffic (kB)")
    axis.legend()
