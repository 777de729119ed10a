"""Designs side by side on equal terms: the same technology, clock constraint, memory model and workload.

An `Entry` is one design with everything measured about it; a `Comparison` is the entries with what is derived from
them: which is better at what and by how much (losses as well as wins), and how alike their sources are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from agents.records import Cost, GateOutcome, Revision
from agents.similarity import Similarity

Direction = Literal["less", "more"]
TIE = 0.005
"""Figures within half a per cent are called equal."""


@dataclass(frozen=True)
class Setting:
    """What all entries share. `clock_ns` is the clock constraint figures at the spec's clock refer to."""

    workload: str
    technology: str
    clock_ns: float
    axi_bytes: int
    latency_cycles: int


@dataclass(frozen=True)
class Silicon:
    """From synthesis. Area is logic, registers included; memories are counted apart, in bits.

    Power is at `period_ns` under the stated activity; None where the technology has no power data.
    `blocks` gives each block's own area.
    """

    area_um2: float
    memory_bits: int
    period_ns: float
    power_mw: float | None
    activity: str
    blocks: dict[str, float]


@dataclass(frozen=True)
class Work:
    """One inference on the RTL: cycles and the accelerator's own counters; `macs` the workload needs."""

    cycles: int
    macs: int
    utilisation: float
    counters: dict[str, int]


@dataclass(frozen=True)
class Entry:
    """One design. `cost` is what designing it took; None for a design that no campaign made."""

    label: str
    tree_hash: str
    macs_per_cycle: int
    parameters: dict[str, int]
    variants: dict[str, str]
    silicon: Silicon
    work: Work
    gates: tuple[GateOutcome, ...] = ()
    cost: Cost | None = None

    @property
    def clock_mhz(self) -> float:
        """Highest clock."""
        return 1e3 / self.silicon.period_ns

    @property
    def latency_us(self) -> float:
        """One inference at the design's own highest clock."""
        return self.work.cycles * self.silicon.period_ns / 1e3

    @property
    def energy_pj(self) -> float | None:
        """Energy of one inference: power (mW) x latency (ns)."""
        power = self.silicon.power_mw
        return None if power is None else power * self.latency_us * 1e3

    @property
    def gops(self) -> float:
        """Useful 10^9 operations a second on the workload (a multiply-accumulate is two)."""
        return 2 * self.work.macs / (self.latency_us * 1e3)

    @property
    def gops_per_mm2(self) -> float:
        """Useful operations a second by logic area."""
        return self.gops / (self.silicon.area_um2 / 1e6)

    @property
    def area_delay(self) -> float:
        """Area x latency in mm2 us."""
        return self.silicon.area_um2 / 1e6 * self.latency_us

    @property
    def verified(self) -> bool | None:
        """Whether every gate passed; None if none was run."""
        return all(gate.passed for gate in self.gates) if self.gates else None


def spec_latency_us(entry: Entry, setting: Setting) -> float | None:
    """One inference at the setting's clock; None if the design does not reach it."""
    return None if entry.silicon.period_ns > setting.clock_ns else entry.work.cycles * setting.clock_ns / 1e3


@dataclass(frozen=True)
class Metric:
    """A figure: its name in JSON (unit suffixed), its title, the scale and unit people see, and which way is better."""

    key: str
    title: str
    unit: str
    scale: float
    better: Direction


METRICS = (
    Metric("area_um2", "Logic area", "mm²", 1e-6, "less"),
    Metric("memory_bits", "Memory", "Kibit", 1 / 1024, "less"),
    Metric("period_ns", "Minimum period", "ns", 1, "less"),
    Metric("clock_mhz", "Maximum clock", "MHz", 1, "more"),
    Metric("power_mw", "Power at maximum clock", "mW", 1, "less"),
    Metric("cycles", "Cycles per inference", "", 1, "less"),
    Metric("latency_us", "Latency at own clock", "µs", 1, "less"),
    Metric("spec_latency_us", "Latency at the spec's clock", "µs", 1, "less"),
    Metric("utilisation", "MAC slots used", "%", 100, "more"),
    Metric("energy_pj", "Energy per inference", "µJ", 1e-6, "less"),
    Metric("gops_per_mm2", "Throughput by area", "GOPS/mm²", 1, "more"),
    Metric("area_delay", "Area · latency", "mm²·µs", 1, "less"),
)


def figures(entry: Entry, setting: Setting) -> dict[str, float | None]:
    """Every metric's value in SI-suffixed units, by key; None where it is unknown."""
    s, w = entry.silicon, entry.work
    return {
        "area_um2": s.area_um2,
        "memory_bits": s.memory_bits,
        "period_ns": s.period_ns,
        "clock_mhz": entry.clock_mhz,
        "power_mw": s.power_mw,
        "cycles": w.cycles,
        "latency_us": entry.latency_us,
        "spec_latency_us": spec_latency_us(entry, setting),
        "utilisation": w.utilisation,
        "energy_pj": entry.energy_pj,
        "gops_per_mm2": entry.gops_per_mm2,
        "area_delay": entry.area_delay,
    }


@dataclass(frozen=True)
class Accuracy:
    """A model's test accuracy (0 to 1): float, integer, and one design's RTL on the first `images` of the test set.

    `logits_equal`: whether every logit of the RTL equals the golden executor's.
    """

    label: str
    float_accuracy: float
    integer_accuracy: float
    test_images: int
    rtl_accuracy: float
    images: int
    logits_equal: bool


@dataclass(frozen=True)
class Comparison:
    """Entries measured under one setting; the last is what the others are held against."""

    setting: Setting
    entries: tuple[Entry, ...]
    similarity: tuple[Similarity, ...] = ()
    explored: tuple[Revision, ...] = ()
    accuracy: tuple[Accuracy, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def reference(self) -> Entry:
        """The entry the others are held against."""
        return self.entries[-1]


@dataclass(frozen=True)
class Standing:
    """How `label` stands to the reference in one metric; `ratio` is its value over the reference's."""

    label: str
    metric: Metric
    ratio: float
    outcome: Literal["win", "loss", "equal"]


def standings(comparison: Comparison) -> list[Standing]:
    """Every entry but the reference against it, in every metric both have."""
    base = figures(comparison.reference, comparison.setting)
    return [
        found
        for entry in comparison.entries[:-1]
        for metric in METRICS
        if (found := _standing(entry.label, metric, figures(entry, comparison.setting)[metric.key], base[metric.key]))
    ]


def _standing(label: str, metric: Metric, value: float | None, base: float | None) -> Standing | None:
    if value is None or not base:
        return None
    ratio = value / base
    if abs(ratio - 1) <= TIE:
        return Standing(label, metric, ratio, "equal")
    won = ratio < 1 if metric.better == "less" else ratio > 1
    return Standing(label, metric, ratio, "win" if won else "loss")


def as_data(comparison: Comparison) -> dict[str, Any]:
    """The comparison for JSON."""
    return {
        "setting": comparison.setting,
        "designs": [_entry_data(entry, comparison.setting) for entry in comparison.entries],
        "reference": comparison.reference.label,
        "standings": [
            {"design": s.label, "figure": s.metric.key, "ratio": s.ratio, "outcome": s.outcome}
            for s in standings(comparison)
        ],
        "similarity": comparison.similarity,
        "accuracy": comparison.accuracy,
        "notes": comparison.notes,
    }


def _entry_data(entry: Entry, setting: Setting) -> dict[str, Any]:
    return {
        "design": entry.label,
        "tree_hash": entry.tree_hash,
        "parameters": entry.parameters,
        "variants": entry.variants,
        "macs_per_cycle": entry.macs_per_cycle,
        **figures(entry, setting),
        "activity": entry.silicon.activity,
        "block_area_um2": entry.silicon.blocks,
        "macs": entry.work.macs,
        "counters": entry.work.counters,
        "verified": entry.verified,
        "gates": entry.gates,
        "cost": entry.cost,
    }
