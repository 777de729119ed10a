"""One encoder block (sequence 128, width 384, 6 heads, ff 1536, int8) on the RTL behind 8 bytes a cycle.

For a design that is not the expert, its own parameters; for the expert, both array forms of 256 MACs with a
scratchpad of 128 KiB. Bars: the output equals the integer graph's, at least 75 % of MAC slots used over the whole
block by the design's own counters, the cycle model within 5 %.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

import numpy as np

from hwlib.design import EXPERT, Design, with_parameters
from mfm.compress.integer import execute
from mfm.run.rtl import run_rtl
from mfm.schedule.schedule import schedule
from mfm.workloads import encoder_block, random_input
from tests.benchmarks.bars import Bar, at_least, at_most, figure, main

SHAPES = {
    "T=16 D=1": {"T": 16, "D": 1, "WORDS": 8192, "AXI_BYTES": 8},
    "T=4 D=16": {"T": 4, "D": 16, "WORDS": 2048, "AXI_BYTES": 8},
}
UTILISATION = 0.75
MODEL_ERROR = 0.05


def machines(design: Design) -> dict[str, Design]:
    """The machines to measure, by name."""
    if design.folder != EXPERT:
        return {design.manifest.name: design}
    return {name: with_parameters(design, **parameters) for name, parameters in SHAPES.items()}


def measure_machine(name: str, design: Design) -> Iterator[Bar]:
    """The block on one machine."""
    graph = encoder_block()
    inputs = random_input(graph)
    found = schedule(graph, design.manifest)
    run = run_rtl(found.program, design, [inputs])[0]
    same = run.status == "done" and np.array_equal(run.outputs[graph.output], execute(graph, inputs))
    yield at_least(name, "output bit-exact", int(same), 1)
    yield figure(name, "cycles", run.cycles)
    used = graph.macs / (run.cycles * design.manifest.macs_per_cycle)
    yield at_least(name, "MAC slots used (useful MACs)", used, UTILISATION)
    yield at_least(name, "MAC slots used (mac counter)", run.counters["mac"] / run.cycles, UTILISATION)
    yield at_most(name, "cycle model error", abs(found.cycles / run.cycles - 1), MODEL_ERROR)
    yield figure(name, "bytes read", run.counters["read_beat"] * design.manifest.parameters["AXI_BYTES"])
    yield figure(name, "bytes written", run.counters["write_beat"] * design.manifest.parameters["AXI_BYTES"])


def measure(design: Design) -> Iterable[Bar]:
    """Every machine of `design`."""
    return [bar for name, machine in machines(design).items() for bar in measure_machine(name, machine)]


if __name__ == "__main__":
    sys.exit(main("encoder_block", __doc__ or "", measure))
