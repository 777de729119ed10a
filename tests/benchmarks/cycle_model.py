"""The cycle model against the RTL on ten workloads that none of its constants were fitted on.

Blocks, decode steps and a whole vision transformer of sizes that fill no tile, on array forms, bus widths and memory
latencies of all kinds; the constants come from microprograms (`mfm.run.calibrate`). Bars: every output equals the
integer graph's, and modelled cycles are within 2 % of the RTL's counter. A design that is not the expert runs all ten
workloads on its own parameters.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from hwlib.design import EXPERT, Design, with_parameters
from mfm.api import run_workload
from tests.benchmarks.bars import Bar, at_most, figure, main
from verification.system.simulation import MemoryModel

WIDE = {"T": 16, "D": 1, "WORDS": 8192, "AXI_BYTES": 8}
DEEP = {"T": 4, "D": 16, "WORDS": 2048, "AXI_BYTES": 8}
EVEN = {"T": 8, "D": 4}
SMALL = {"T": 4, "D": 4}
FAST = {"T": 8, "D": 4, "WORDS": 4096, "AXI_BYTES": 16}
WORKLOADS: tuple[tuple[str, dict[str, int], int], ...] = (
    ("encoder-block-72-192-3-768", WIDE, 20),
    ("decoder-block-48-192-6-2-512", WIDE, 60),
    ("encoder-block-100-256-4-1024", DEEP, 20),
    ("decode-step-75-256-4-4-1024", DEEP, 40),
    ("decoder-block-64-256-8-2-512-w4", DEEP, 10),
    ("encoder-block-50-128-4-512", EVEN, 100),
    ("decode-step-30-128-4-2-384", EVEN, 20),
    ("digits-vit", SMALL, 20),
    ("encoder-block-196-192-3-768", FAST, 20),
    ("decoder-block-40-160-5-1-480", FAST, 5),
)
"""Workload, parameters of the expert, memory latency in cycles."""
MODEL_ERROR = 0.02


def measure_workload(workload: str, design: Design, latency: int) -> Iterator[Bar]:
    """One workload; InputError if its output is not the integer graph's."""
    found = run_workload(workload, design, MemoryModel(latency))
    p = design.manifest.parameters
    name = f"{workload}, T={p['T']} D={p['D']}, {p['AXI_BYTES']} bytes a cycle, latency {latency}"
    yield figure(name, "cycles", found.cycles)
    yield at_most(name, "cycle model error", abs(found.model_error), MODEL_ERROR)


def measure(design: Design) -> Iterable[Bar]:
    """All workloads."""
    expert = design.folder == EXPERT
    return [
        bar
        for workload, parameters, latency in WORKLOADS
        for bar in measure_workload(workload, with_parameters(design, **parameters) if expert else design, latency)
    ]


if __name__ == "__main__":
    sys.exit(main("cycle_model", __doc__ or "", measure))
