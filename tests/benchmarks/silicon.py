"""The expert's compute core in standard cells: array, requantizer, softmax and activation at 1024 and 256 MACs a cycle.

Density is two operations a MAC at the core's own clock, its slowest block's, over the blocks' area: logic and
registers, with memories counted apart. Bars, in osu018: at least 14 GOPS/mm2 at 1024 MACs, 12 at 256. The whole
design's blocks follow, at the smaller shape.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from hwlib.design import EXPERT, Design, block_parameters, platform_files, with_parameters
from hwlib.tech import Technology, technology
from tests.benchmarks.bars import Bar, at_least, figure, main
from verification.synthesize import SynthesisResult, synthesize

CORE = ("array", "requantizer", "softmax", "activation")
SHAPES = {
    "1024 MAC: T=8 D=16": ({"T": 8, "D": 16, "WORDS": 1024, "ACT_LANES": 2}, 14.0),
    "256 MAC: T=4 D=16": ({"T": 4, "D": 16, "WORDS": 2048, "ACT_LANES": 1}, 12.0),
}
WHOLE = "256 MAC: T=4 D=16"
TARGET_NS = {"osu018": 3.5, "sky130hd": 2.5}
"""Periods the mapping aims at."""


def machines(design: Design) -> dict[str, tuple[Design, float]]:
    """The machines to measure, by name, each with the density it must reach (0: none)."""
    if design.folder != EXPERT:
        return {design.manifest.name: (design, 0.0)}
    return {name: (with_parameters(design, **parameters), least) for name, (parameters, least) in SHAPES.items()}


def mapped(design: Design, tech: Technology, block: str) -> SynthesisResult:
    """One block with all below it, at the machine's parameters."""
    files, values = design.closure_files(block), block_parameters(block, design.manifest.parameters)
    return synthesize(files, block, values, tech, TARGET_NS.get(tech.name, 3.0))


def measure_core(name: str, design: Design, tech: Technology, least: float) -> Iterator[Bar]:
    """Area and period of the core's blocks, and its density."""
    blocks: Mapping[str, SynthesisResult] = {block: mapped(design, tech, block) for block in CORE}
    for block, found in blocks.items():
        yield figure(name, f"{block}: area, mm2", found.area_um2 / 1e6)
        yield figure(name, f"{block}: shortest period, ns", found.min_period_ns)
    area = sum(found.area_um2 for found in blocks.values()) / 1e6
    slowest = max(blocks, key=lambda block: blocks[block].min_period_ns)
    period = blocks[slowest].min_period_ns
    yield figure(name, "core: area, mm2", area)
    path = blocks[slowest].critical_path
    yield figure(name, f"core: period, ns (of {slowest}: {path.start} to {path.end})", period)
    density = 2 * design.manifest.macs_per_cycle / period / area
    bar = f"core: GOPS/mm2 in {tech.name}"
    yield at_least(name, bar, density, least) if least and tech.name == "osu018" else figure(name, bar, density)


def measure_whole(name: str, design: Design, tech: Technology) -> Iterator[Bar]:
    """The whole design, block by block, and what sets its clock."""
    target = TARGET_NS.get(tech.name, 3.0)
    found = synthesize((*design.rtl, *platform_files()), "top", design.manifest.parameters, tech, target)
    for block, area in sorted(found.blocks.items(), key=lambda item: -item[1]):
        yield figure(name, f"whole: {block}, mm2", area / 1e6)
    yield figure(name, "whole: area, mm2", found.area_um2 / 1e6)
    yield figure(name, "whole: memory, Kibit", found.memory_bits / 1024)
    path = found.critical_path
    yield figure(name, f"whole: period, ns ({path.start} to {path.end})", found.min_period_ns)
    density = 2 * design.manifest.macs_per_cycle / found.min_period_ns / (found.area_um2 / 1e6)
    yield figure(name, f"whole: GOPS/mm2 in {tech.name}", density)


def measure(design: Design, tech: Technology) -> Iterable[Bar]:
    """Every machine of `design` in one technology."""
    for name, (machine, least) in machines(design).items():
        yield from measure_core(name, machine, tech, least)
        if name == WHOLE or design.folder != EXPERT:
            yield from measure_whole(name, machine, tech)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--tech", default="osu018")
    given, sys.argv[1:] = parser.parse_known_args()
    sys.exit(main("silicon", __doc__ or "", partial(measure, tech=technology(given.tech))))
