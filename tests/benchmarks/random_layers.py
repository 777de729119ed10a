"""Random layers on the RTL against the integer graph: shapes that divide nothing, a memory that stalls.

Every kind of layer the ISA has, alone and as the schedule joins them: GEMMs with int8 and int4 weights, with and
without a table, sums, norms, products, rotary embedding, attention (plain, causal, grouped) and its caches, prefill and
decode. Machines of 16 to 256 MACs a cycle with buses of 4 to 32 bytes; for a design that is not the expert, its own
parameters. Bars: no element differs, at least 200 layers. Layers that differ are named on stderr.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from hwlib.design import EXPERT, Design, with_parameters
from mfm.compress.integer import IntegerGraph, execute
from mfm.program.program import Program
from mfm.run.rtl import RtlRunner, open_runner
from mfm.schedule.panels import Memory
from mfm.schedule.schedule import schedule
from mfm.workloads import random_caches, random_input
from tests.benchmarks.bars import Bar, at_least, at_most, figure, main
from tests.benchmarks.layer_graphs import random_layer
from verification.system import MemoryModel

LAYERS = 1000
LEAST = 200
SHAPES: Mapping[str, Mapping[str, int]] = {
    "T=2 D=4, 4 bytes": {"T": 2, "D": 4, "WORDS": 2048, "AXI_BYTES": 4, "ACT_LANES": 1},
    "T=4 D=4, 8 bytes": {"T": 4, "D": 4, "WORDS": 1024, "AXI_BYTES": 8, "ACT_LANES": 4},
    "T=8 D=1, 8 bytes": {"T": 8, "D": 1, "WORDS": 2048, "AXI_BYTES": 8, "ACT_LANES": 2},
    "T=8 D=2, 16 bytes": {"T": 8, "D": 2, "WORDS": 1024, "AXI_BYTES": 16, "ACT_LANES": 8},
    "T=4 D=16, 32 bytes": {"T": 4, "D": 16, "WORDS": 512, "AXI_BYTES": 32, "ACT_LANES": 1},
}
MEMORIES = (
    MemoryModel(latency=1),
    MemoryModel(latency=20, stall=0.3, seed=1),
    MemoryModel(latency=150, stall=0.7, seed=2),
)
"""Memories that take turns; the first never stalls."""


@dataclass(frozen=True)
class Layer:
    """A layer, its program, and the seed of its inputs."""

    graph: IntegerGraph
    program: Program
    seed: int


def machines(design: Design) -> dict[str, Design]:
    """The machines to measure, by name."""
    if design.folder != EXPERT:
        return {design.manifest.name: design}
    return {name: with_parameters(design, **parameters) for name, parameters in SHAPES.items()}


def layers(design: Design, count: int, seed: int) -> list[Layer]:
    """`count` random layers scheduled for `design`, together in one memory."""
    memory, found = Memory(), []
    for index in range(count):
        graph = random_layer(seed * LAYERS + index)
        program = schedule(graph, design.manifest, effort=0, memory=memory).program
        found.append(Layer(graph, program, seed * LAYERS + index))
    return found


def differs(runner: RtlRunner, layer: Layer) -> str:
    """What is wrong with the layer's run; empty if nothing is."""
    graph, caches = layer.graph, random_caches(layer.graph, layer.seed + 1)
    runner.switch(layer.program)
    for slot, rows in caches.items():
        runner.write_cache(slot, rows)
    inputs = random_input(graph, layer.seed)
    run = runner.run(inputs)
    if run.status != "done":
        return run.status
    wrong = int((run.outputs[graph.output] != execute(graph, inputs, caches)).sum())
    wrong += sum(int((runner.read_cache(slot, len(rows)) != rows).sum()) for slot, rows in caches.items())
    return f"{wrong} elements differ" if wrong else ""


def measure_machine(name: str, design: Design, count: int, seed: int) -> Iterator[Bar]:
    """Random layers on one machine, a third of them before each memory."""
    found, bad = layers(design, count, seed), 0
    for turn, memory in enumerate(MEMORIES):
        mine = found[turn :: len(MEMORIES)]
        if not mine:
            continue
        with open_runner(mine[0].program, design, memory) as runner:
            for layer in mine:
                problem = differs(runner, layer)
                bad += bool(problem)
                if problem:
                    print(f"random_layers: {name}: layer {layer.seed}, {layer.graph.name}: {problem}", file=sys.stderr)
    yield figure(name, "layers", count)
    yield at_most(name, "layers that differ", bad, 0)


def measure(design: Design, count: int = LAYERS, seed: int = 0) -> Iterable[Bar]:
    """`count` layers, shared out among the machines of `design`."""
    found = machines(design)
    each = -(-count // len(found))
    for place, (name, machine) in enumerate(found.items()):
        yield from measure_machine(name, machine, each, seed + place)
    yield at_least("all", "layers", each * len(found), min(count, LEAST))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--seed", type=int, default=0)
    given, sys.argv[1:] = parser.parse_known_args()
    sys.exit(main("random_layers", __doc__ or "", partial(measure, count=given.layers, seed=given.seed)))
