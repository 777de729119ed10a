"""Made-up entries of a comparison."""

from __future__ import annotations

from agents.compare import Comparison, Entry, Setting, Silicon, Work
from agents.records import Cost, GateOutcome

SETTING = Setting("digits-vit", "osu018", 12.0, 8, 20)
PASSED = tuple(GateOutcome(gate, "design", True) for gate in ("policy", "lint", "simulate"))


def entry(
    label: str,
    area_um2: float = 2e6,
    period_ns: float = 10.0,
    power_mw: float | None = 100.0,
    cycles: int = 20_000,
    gates: tuple[GateOutcome, ...] = PASSED,
    cost: Cost | None = None,
) -> Entry:
    """An entry with 64 MACs a cycle and 1,000,000 multiply-accumulates of work."""
    silicon = Silicon(area_um2, 4096, period_ns, power_mw, "every net", {"array": area_um2 / 2, "top": area_um2 / 2})
    work = Work(cycles, 1_000_000, 1_000_000 / 64 / cycles, {"mac": 15_625, "cycles": cycles})
    return Entry(label, "0" * 64, 64, {"T": 4, "D": 4}, {"array": "tree"}, silicon, work, gates, cost)


def comparison() -> Comparison:
    """A small slow design of a campaign against a large quick one."""
    mine = entry("mine", area_um2=1e6, cycles=30_000, cost=Cost(120, 300.0))
    return Comparison(SETTING, (mine, entry("expert")))
