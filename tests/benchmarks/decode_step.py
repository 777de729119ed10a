"""One decode step (128 tokens before, width 384, 6 heads, ff 1536) on the RTL: T=4 D=16, 128 KiB, 8 bytes a cycle.

The floor is the time the bus needs for weights and the cached keys and values alone. Bars: output and caches equal the
integer graph's; cycles at most 1.05 times the floor, which is half as high with int4 weights and caches as with int8
ones; the cycle model within 2 %.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

import numpy as np

from hwlib.design import EXPERT, Design, with_parameters
from mfm.compress.integer import IntegerGraph, QCache, QGemm, execute, shape_of
from mfm.run.rtl import open_runner
from mfm.schedule.schedule import schedule
from mfm.workloads import decoder_workload, random_caches, random_input
from tests.benchmarks.bars import Bar, at_least, at_most, figure, main

SHAPE = {"T": 4, "D": 16, "WORDS": 2048, "AXI_BYTES": 8}
STEP = "decode-step-128-384-6-6-1536"
WORKLOADS = {
    "int8": f"{STEP}-gelu",
    "int4": f"{STEP}-gelu-w4kv4",
    "int4, int8 caches": f"{STEP}-gelu-w4",
    "int8, SwiGLU": STEP,
}
RATIO = 1.05
MODEL_ERROR = 0.02


def floor_cycles(graph: IntegerGraph, axi_bytes: int) -> float:
    """Bus cycles of the weights and of the rows that the caches hold."""
    weights = sum(op.weight.size * op.bits / 8 for op in graph.ops if isinstance(op, QGemm))
    cached = sum(op.past * shape_of(op, graph)[1] * op.bits / 8 for op in graph.ops if isinstance(op, QCache))
    return (weights + cached) / axi_bytes


def measure_step(name: str, workload: str, design: Design) -> Iterator[Bar]:
    """One workload."""
    graph = decoder_workload(workload)
    inputs, caches = random_input(graph), random_caches(graph)
    found = schedule(graph, design.manifest)
    with open_runner(found.program, design) as runner:
        for slot, rows in caches.items():
            runner.write_cache(slot, rows)
        run = runner.run(inputs)
        same = run.status == "done" and np.array_equal(run.outputs[graph.output], execute(graph, inputs, caches))
        same = same and all(np.array_equal(runner.read_cache(s, len(rows)), rows) for s, rows in caches.items())
    yield at_least(name, "output and caches bit-exact", int(same), 1)
    yield figure(name, "cycles", run.cycles)
    floor = floor_cycles(graph, design.manifest.parameters["AXI_BYTES"])
    yield figure(name, "floor", floor)
    yield at_most(name, "cycles to floor", run.cycles / floor, RATIO)
    yield at_most(name, "cycle model error", abs(found.cycles / run.cycles - 1), MODEL_ERROR)


def measure(design: Design) -> Iterable[Bar]:
    """Every workload; on the expert at 256 MACs a cycle."""
    machine = with_parameters(design, **SHAPE) if design.folder == EXPERT else design
    return [bar for name, workload in WORKLOADS.items() for bar in measure_step(name, workload, machine)]


if __name__ == "__main__":
    sys.exit(main("decode_step", __doc__ or "", measure))
