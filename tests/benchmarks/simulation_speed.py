"""How fast Verilator simulates the whole design, and how much of that the array's adders cost.

An encoder block (64 tokens, width 128, 4 heads, feed-forward 256) four times on 256 MACs in two forms; then on the same
design with a behavioural array (a template, by `*` and `+`), which costs more cells.
Processor time of the simulator is not told apart from waiting for it: measure on a machine that does nothing else.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from hwlib.design import Design, read_design
from hwlib.templates import render
from mfm.run.rtl import open_runner
from mfm.schedule.schedule import schedule
from mfm.workloads import BlockShape, encoder_block, random_input
from tests.benchmarks.bars import Bar, figure, main
from tests.benchmarks.encoder_block import machines

BLOCK = BlockShape(64, 128, 4, 256)
TIMES = 4


def behavioural(design: Design, folder: Path) -> Design:
    """`design` with the behavioural array in its array's place."""
    shutil.copytree(design.folder, folder, dirs_exist_ok=True)
    for path in (folder / "rtl").glob("array*.v"):
        path.unlink()
    for name, text in render("array", "behavioural").items():
        (folder / "rtl" / name).with_suffix(".v").write_text(text)
    made = read_design(folder)
    return Design(made.folder, design.manifest, made.rtl)


def cycles_a_second(design: Design) -> tuple[float, float]:
    """Simulated cycles and useful multiply-accumulates a second of wall time."""
    graph = encoder_block(BLOCK)
    program, inputs = schedule(graph, design.manifest, effort=0).program, random_input(graph)
    with open_runner(program, design) as runner:
        runner.run(inputs)
        start = time.monotonic()
        cycles = sum(runner.run(inputs).cycles for _ in range(TIMES))
        seconds = time.monotonic() - start
    return cycles / seconds, TIMES * graph.macs / seconds


def measure_machine(name: str, design: Design) -> Iterator[Bar]:
    """The design as it is, and with the behavioural array."""
    cycles, macs = cycles_a_second(design)
    yield figure(name, "cycles a second", round(cycles))
    yield figure(name, "multiply-accumulates a second", round(macs))
    with tempfile.TemporaryDirectory() as folder:
        plain, _ = cycles_a_second(behavioural(design, Path(folder)))
    yield figure(name, "cycles a second, behavioural array", round(plain))
    yield figure(name, "share of the time that is the array's", 1 - cycles / plain)


def measure(design: Design) -> Iterable[Bar]:
    """Every machine of `design`."""
    return [bar for name, machine in machines(design).items() for bar in measure_machine(name, machine)]


if __name__ == "__main__":
    sys.exit(main("simulation_speed", __doc__ or "", measure))
