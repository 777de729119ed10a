"""Builds the simulator of a whole design: its RTL, the platform cells and the C++ harness; cached by content."""

from __future__ import annotations

from pathlib import Path

from hwlib.design import Design, platform_files
from verification import toolchain, verilate

LARGE = 1024
"""MACs a cycle from which g++ takes longer to optimise the model than most workloads to run."""
_HARNESS = Path(__file__).with_name("harness.cpp")


def build_simulator(design: Design) -> Path:
    """The executable simulating `design` at its manifest's parameters; built once for the same content and tools.

    Raises BuildFailed (an InputError) with the compiler's first complaint, and when the build exceeds its limits.
    """
    toolchain.require("verilator", "g++", "perl")
    optimise = "-O1" if design.manifest.macs_per_cycle > LARGE else "-O2"
    harness = verilate.Harness({"harness.cpp": _HARNESS.read_text()}, optimise=optimise)
    return verilate.build((*platform_files(), *design.rtl), "top", design.manifest.parameters, harness)
