"""The ends of the expert's range, 64 to 4096 MACs a cycle: lint, and random layers on the RTL.

Every machine is linted whole by Verilator with all warnings, then runs random layers of every kind against the integer
graph. Bars: nothing to warn about, no element differs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping

from hwlib.design import EXPERT, Design, with_parameters
from tests.benchmarks.bars import Bar, at_most, figure, main
from tests.benchmarks.layer_graphs import KINDS
from tests.benchmarks.random_layers import measure_machine
from verification.gates import Candidate, lint

SHAPES: Mapping[str, Mapping[str, int]] = {
    "64: T=8 D=1": {"T": 8, "D": 1, "WORDS": 2048, "AXI_BYTES": 4, "ACT_LANES": 8},
    "64: T=4 D=4": {"T": 4, "D": 4, "WORDS": 1024, "AXI_BYTES": 16, "ACT_LANES": 1},
    "256: T=2 D=64": {"T": 2, "D": 64, "WORDS": 512, "AXI_BYTES": 16, "ACT_LANES": 2},
    "1024: T=8 D=16": {"T": 8, "D": 16, "WORDS": 512, "AXI_BYTES": 32, "ACT_LANES": 2},
    "1024: T=32 D=1": {"T": 32, "D": 1, "WORDS": 2048, "AXI_BYTES": 16, "ACT_LANES": 8},
    "4096: T=8 D=64": {"T": 8, "D": 64, "WORDS": 256, "AXI_BYTES": 4, "ACT_LANES": 8},
    "4096: T=32 D=4": {"T": 32, "D": 4, "WORDS": 512, "AXI_BYTES": 8, "ACT_LANES": 8},
    "4096: T=16 D=16": {"T": 16, "D": 16, "WORDS": 256, "AXI_BYTES": 32, "ACT_LANES": 4},
}
SEED = 3


def machines(design: Design) -> dict[str, Design]:
    """The machines to measure, by name."""
    if design.folder != EXPERT:
        return {design.manifest.name: design}
    return {name: with_parameters(design, **parameters) for name, parameters in SHAPES.items()}


def warnings(design: Design) -> list[str]:
    """What Verilator has to say about the whole design at its own parameters."""
    return [str(finding) for finding in lint.verilator(Candidate(design), design.manifest.parameters)]


def measure(design: Design) -> Iterable[Bar]:
    """Every machine of `design`."""
    for name, machine in machines(design).items():
        yield from measure_corner(name, machine)


def measure_corner(name: str, design: Design) -> Iterator[Bar]:
    """One machine: lint, then a layer of every kind."""
    yield figure(name, "MACs a cycle", design.manifest.macs_per_cycle)
    found = warnings(design)
    for text in found:
        print(f"corners: {name}: {text}", file=sys.stderr)
    yield at_most(name, "lint findings", len(found), 0)
    yield from measure_machine(name, design, len(KINDS), SEED)


if __name__ == "__main__":
    sys.exit(main("corners", __doc__ or "", measure))
