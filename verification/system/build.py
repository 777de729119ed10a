"""Builds the simulator of a whole design: its RTL, the platform cells and the C++ harness; cached by content."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hwlib.design import Design, platform_files
from verification import toolchain, verilate

FLATTENED = 1024
"""MACs a cycle of the largest array whose model is one piece of code, which is faster; of a larger one Verilator and
g++ would take more memory and minutes than a build may have."""
_HARNESS = Path(__file__).with_name("harness.cpp")


def build_simulator(design: Design) -> Path:
    """The executable simulating `design` at its manifest's parameters; built once for the same content and tools.

    Raises BuildFailed (an InputError) with the compiler's first complaint, and when the build exceeds its limits.
    """
    toolchain.require("verilator", "g++", "perl")
    harness = verilate.Harness({"harness.cpp": _HARNESS.read_text()}, optimise="-O3")
    if design.manifest.macs_per_cycle > FLATTENED:
        harness = replace(harness, optimise="-O1", verilator=(*harness.verilator, "-fno-inline"))
    return verilate.build((*platform_files(), *design.rtl), "top", design.manifest.parameters, harness)
