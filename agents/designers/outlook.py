"""What the cycle model says of the parameters a planner may choose: a step up and down of each, and other arrays."""

from __future__ import annotations

from agents.designers.space import Space
from hwlib import contracts

SHAPED = ("T", "D", "AXI_BYTES")
"""Parameters with no step of their own: arrays are a list, and the bus is the spec's."""
ROOMS, ENTRIES = (1, 2, 4, 8, 16), 2
"""Scratchpads tried with another array, over the smallest that fits; its parameter memories are twice the smallest."""
NEARLY = 0.0005
"""Changes of the cycles that are none, as a share."""


def steps(space: Space, parameters: dict[str, int]) -> list[str]:
    """A line for each parameter whose half or double changes the cycles or does not fit, and one for the others."""
    now = space.cycles(parameters)
    if now is None:
        return []
    changing, idle = [], []
    for name, value in sorted(parameters.items()):
        if name in SHAPED:
            continue
        said = [_step(space, parameters | {name: other}, now, other) for other in _beside(name, value)]
        if any(said):
            changing.append(f"{name} {value}: {', '.join(word for word in said if word)}")
        else:
            idle.append(name)
    return [*changing, *([f"no change by one step: {', '.join(idle)}"] if idle else [])]


def arrays(space: Space) -> list[str]:
    """A line for each array the budgets allow: the fewest cycles with a scratchpad that fits them."""
    return [line for shape in space.shapes if (line := _array(space, shape))]


def _array(space: Space, shape: tuple[int, int]) -> str:
    points = [point for room in ROOMS if (point := space.point(shape, room=room, entries=ENTRIES))]
    counted = [(cycles, point) for point in points if (cycles := space.cycles(point)) is not None]
    if not counted:
        return ""
    cycles, best = min(counted, key=lambda found: (found[0], found[1]["WORDS"]))
    t, d = shape
    rest = " ".join(f"{name}={value}" for name, value in best.items() if name not in SHAPED)
    return f"T={t} D={d} ({t * t * d} MACs): {cycles} cycles with {rest}"


def _beside(name: str, value: int) -> list[int]:
    """The legal values a step below and above."""
    legal = contracts.load("top").parameters[name]
    return [other for other in (value // 2, 2 * value) if legal.min <= other <= legal.max]


def _step(space: Space, parameters: dict[str, int], now: int, value: int) -> str:
    """What the step to `value`, which gives `parameters`, does; empty if nothing."""
    if space.refusal(parameters):
        return f"{value} is over the budget"
    cycles = space.cycles(parameters)
    if cycles is None:
        return f"{value} does not fit"
    change = cycles / now - 1
    return f"{value} gives {cycles} cycles ({change:+.1%})" if abs(change) > NEARLY else ""
