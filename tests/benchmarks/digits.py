"""The digits model in float, as integers, and 64 test images on the RTL.

For a design that is not the expert, its own parameters; for the expert, five array shapes. Bars: float accuracy at
least 97 % of the 450 test images, integer within 0.5 points of it, every logit of every image on the RTL equal to the
integer graph's, the cycle model within 5 %.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from hwlib.design import EXPERT, Design, with_parameters
from mfm.api import DIGITS, evaluate, load_graph
from mfm.schedule.schedule import schedule
from tests.benchmarks.bars import Bar, at_least, at_most, figure, main

SHAPES = {
    "T=4 D=4": {},
    "T=4 D=2": {"T": 4, "D": 2},
    "T=8 D=1": {"T": 8, "D": 1},
    "T=16 D=1": {"T": 16, "D": 1},
    "T=4 D=16": {"T": 4, "D": 16},
}
IMAGES = 64
FLOAT_ACCURACY = 0.97
INTEGER_LOSS = 0.005
MODEL_ERROR = 0.05


def machines(design: Design) -> dict[str, Design]:
    """The machines to measure, by name."""
    if design.folder != EXPERT:
        return {design.manifest.name: design}
    return {name: with_parameters(design, **parameters) for name, parameters in SHAPES.items()}


def measure_machine(name: str, design: Design) -> Iterator[Bar]:
    """The model on one machine."""
    result = evaluate(DIGITS, design, IMAGES)
    assert result.rtl_accuracy is not None
    assert result.cycles_per_image is not None
    modelled = schedule(load_graph(DIGITS), design.manifest).cycles
    yield at_least(name, "float accuracy", result.float_accuracy, FLOAT_ACCURACY)
    yield figure(name, "integer accuracy", result.integer_accuracy)
    yield at_most(name, "float less integer accuracy", result.float_accuracy - result.integer_accuracy, INTEGER_LOSS)
    yield figure(name, f"RTL accuracy, {IMAGES} images", result.rtl_accuracy)
    yield at_least(name, f"every logit equal, {IMAGES} images", int(bool(result.logits_equal)), 1)
    yield figure(name, "cycles an image", round(result.cycles_per_image))
    yield at_most(name, "cycle model error", abs(modelled / result.cycles_per_image - 1), MODEL_ERROR)


def measure(design: Design) -> Iterable[Bar]:
    """Every machine of `design`."""
    return [bar for name, machine in machines(design).items() for bar in measure_machine(name, machine)]


if __name__ == "__main__":
    sys.exit(main("digits", __doc__ or "", measure))
