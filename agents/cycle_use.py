"""Where a workload's cycles go on a design, by the cycle model: what a planner reads before it spends area on speed."""

from __future__ import annotations

from dataclasses import dataclass

from hwlib.errors import plain


@dataclass(frozen=True)
class LayerUse:
    """A layer: its cycles, the share of them with an array beat, and what most of the others waited for."""

    name: str
    cycles: int
    utilisation: float
    waits_for: str


@dataclass(frozen=True)
class CycleUse:
    """A modelled run. beats: cycles with an array beat; lost: the others by cause (`mfm.run.profile.CAUSES`); work:
    cycles by block and instruction, blocks work side by side; layers: the longest, in the program's order."""

    cycles: int
    beats: int
    lost: dict[str, int]
    work: dict[str, dict[str, int]]
    layers: tuple[LayerUse, ...]


def described(use: CycleUse) -> list[str]:
    """In words, a line each."""
    lost = [f"{cause} {_share(count, use)}" for cause, count in _largest(use.lost)]
    beats = f"The array has a beat in {_share(use.beats, use)} of {use.cycles} cycles"
    lines = [f"{beats}; without one it waits for: {', '.join(lost) or 'nothing'}."]
    for block, work in sorted(use.work.items(), key=lambda item: -sum(item[1].values())):
        parts = ", ".join(f"{name} {count}" for name, count in _largest(work))
        lines.append(f"{block} works in {_share(sum(work.values()), use)}: {parts}.")
    layers = [
        f"{plain(layer.name, 60)} {layer.cycles} "
        f"({layer.utilisation:.0%} beats, waits most for {layer.waits_for})" for layer in use.layers
    ]  # fmt: skip
    return [*lines, f"Longest layers: {'; '.join(layers)}."] if layers else lines


def _largest(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(((name, count) for name, count in counts.items() if count), key=lambda item: -item[1])


def _share(count: int, use: CycleUse) -> str:
    return f"{100 * count / max(1, use.cycles):.0f} %"
