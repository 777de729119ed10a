"""Whole-design simulation: a design behind an AXI memory in Verilator, driven from Python."""

from verification.system.build import build_simulator
from verification.system.simulation import COUNTERS, MemoryModel, RunResult, Simulation, open_simulation

__all__ = ["COUNTERS", "MemoryModel", "RunResult", "Simulation", "build_simulator", "open_simulation"]
