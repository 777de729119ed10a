"""One encoder block (sequence 128, width 384, 6 heads, ff 1536, int8) on the RTL behind 8 bytes a cycle.

For a design that is not the expert, its own parameters; for the expert, both array forms of 256 MACs with a
scratchpad of 128 KiB. Bars on each machine: the output equals the integer graph's; the block takes at most 1,037,000
cycles and uses at least 75 % of MAC slots by the design's own counters; the cycle model is within 2 %; attention's
GEMMs use 90 % of MAC slots and its memory traffic is at its minimum; scheduling takes under 10 s of processor time. On
the better of the expert's forms: GEMMs alone in 953,000 cycles.

GEMMs alone: the graph without its norms (a GEMM reads what the norm would have), scheduled, and every vector
instruction (softmaxes, sums) left out of the program. All GEMMs remain, all loads and stores, the sums' too, and the
waits between them. Timed only: the values mean nothing. Attention: the layer of scores, softmax and mixing of values,
by the cycle model's profile; its traffic is at its minimum when it reads no byte twice and stores nothing that only it
reads.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from time import process_time

import numpy as np

from hwlib import isa
from hwlib.design import EXPERT, Design, Manifest, with_parameters
from mfm.compress.integer import IntegerGraph, QGemm, QLayerNorm, execute
from mfm.program.builder import ProgramBuilder
from mfm.program.program import Program
from mfm.run.profile import profile
from mfm.run.rtl import run_rtl
from mfm.schedule.schedule import schedule
from mfm.workloads import encoder_block, random_input
from tests.benchmarks.bars import Bar, at_least, at_most, figure, main

SHAPES = {
    "T=16 D=1": {"T": 16, "D": 1, "WORDS": 8192, "AXI_BYTES": 8},
    "T=4 D=16": {"T": 4, "D": 16, "WORDS": 2048, "AXI_BYTES": 8},
}
UTILISATION = 0.75
MODEL_ERROR = 0.02
CYCLES = 1_037_000
GEMM_CYCLES = 953_000
ATTENTION = 0.90
SECONDS = 10
LARGEST = 512 << 10
ALONE = "cycles, GEMMs alone"


def machines(design: Design) -> dict[str, Design]:
    """The machines to measure, by name."""
    if design.folder != EXPERT:
        return {design.manifest.name: design}
    return {name: with_parameters(design, **parameters) for name, parameters in SHAPES.items()}


def measure_machine(name: str, design: Design) -> Iterator[Bar]:
    """The block on one machine."""
    graph = encoder_block()
    inputs = random_input(graph)
    began = process_time()
    found = schedule(graph, design.manifest)
    seconds = process_time() - began
    run = run_rtl(found.program, design, [inputs])[0]
    same = run.status == "done" and np.array_equal(run.outputs[graph.output], execute(graph, inputs))
    yield at_least(name, "output bit-exact", int(same), 1)
    yield at_most(name, "cycles", run.cycles, CYCLES)
    used = graph.macs / (run.cycles * design.manifest.macs_per_cycle)
    yield at_least(name, "MAC slots used (useful MACs)", used, UTILISATION)
    yield at_least(name, "MAC slots used (mac counter)", run.counters["mac"] / run.cycles, UTILISATION)
    yield at_most(name, "cycle model error", abs(found.cycles / run.cycles - 1), MODEL_ERROR)
    yield figure(name, "bytes read", run.counters["read_beat"] * design.manifest.parameters["AXI_BYTES"])
    yield figure(name, "bytes written", run.counters["write_beat"] * design.manifest.parameters["AXI_BYTES"])
    yield figure(name, ALONE, run_rtl(gemm_program(graph, design.manifest), design, [inputs])[0].cycles)
    yield from attention(name, found.program, design.manifest)
    yield at_most(name, "scheduling, processor seconds", seconds, SECONDS)
    yield from scheduling(name, design, found.cycles)


def scheduling(name: str, design: Design, cycles: int) -> Iterator[Bar]:
    """The largest scratchpad, the search for which does that for every smaller one first."""
    words = LARGEST // design.manifest.word_bytes
    larger = with_parameters(design, WORDS=max(words, design.manifest.parameters["WORDS"]))
    began = process_time()
    found = schedule(encoder_block(), larger.manifest)
    yield at_most(name, "scheduling for 512 KiB, processor seconds", process_time() - began, SECONDS)
    yield at_most(name, "modelled cycles with 512 KiB", found.cycles, cycles)


def attention(name: str, program: Program, manifest: Manifest) -> Iterator[Bar]:
    """What the profile says of the layers with a softmax."""
    layers = [layer for layer in profile(program, manifest).layers if layer.attention]
    beats = sum(layer.mac_cycles for layer in layers)
    yield at_least(name, "MAC slots used by attention", beats / sum(layer.cycles for layer in layers), ATTENTION)
    yield figure(name, "bytes attention moves", sum(layer.bytes_moved for layer in layers))
    yield at_most(name, "bytes attention moves over its minimum", sum(layer.bytes_again for layer in layers), 0)


def gemm_program(graph: IntegerGraph, manifest: Manifest) -> Program:
    """The program of the block's GEMMs alone."""
    program = schedule(gemms_of(graph), manifest).program
    builder = ProgramBuilder(manifest)
    for item, layer in zip(program.instructions, program.layers, strict=True):
        if item.engine not in (None, isa.Engine.VECTOR):
            builder.emit(item.op, item.operands, item.flags, layer)
    return replace(program, instructions=builder.finish(), layers=(*builder.layers, "end"))


def gemms_of(graph: IntegerGraph) -> IntegerGraph:
    """The graph without norms: who reads one reads its input."""
    norms = {op.out: op.a for op in graph.ops if isinstance(op, QLayerNorm)}
    kept = [op for op in graph.ops if op.out not in norms]
    read = [replace(op, a=norms.get(op.a, op.a)) if isinstance(op, QGemm) else op for op in kept]
    return replace(graph, ops=tuple(read))


def best(bars: Iterable[Bar], what: str, most: float) -> Bar:
    """The bar on the least of the machines' figures `what`."""
    return at_most("the better machine", what, min(bar.value for bar in bars if bar.what == what), most)


def measure(design: Design) -> Iterable[Bar]:
    """Every machine of `design`."""
    bars = [bar for name, machine in machines(design).items() for bar in measure_machine(name, machine)]
    if design.folder == EXPERT:
        bars.append(best(bars, ALONE, GEMM_CYCLES))
    return bars


if __name__ == "__main__":
    sys.exit(main("encoder_block", __doc__ or "", measure))
