"""Measures designs for a comparison: synthesis, the workload on the RTL, gates, design cost, similarity."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

from agents import api, campaign
from agents.compare import Comparison, Entry, Setting, Silicon, Work
from agents.diff import source_files
from agents.evaluator import DESIGN_GATES
from agents.flow import FlowEvaluator
from agents.records import Cost, GateOutcome, Revision
from agents.similarity import Similarity, compare_sources
from hwlib.design import Design, platform_files
from hwlib.errors import InputError
from hwlib.spec import Spec, read_spec
from hwlib.tech import technology
from mfm import api as mfm_api
from verification.synthesize import synthesize
from verification.system.simulation import MemoryModel

DIGITS = Path(__file__).parents[1] / "hwlib" / "specs" / "digits.yaml"


def spec_for(words: Sequence[str], given: Path | None) -> Spec:
    """The spec designs are compared under: the one given, else the first campaign's among `words`, else the digits'."""
    if given is not None:
        return read_spec(given)
    names = [name for name in (word.partition(":")[0] for word in words) if name in campaign.names()]
    return campaign_spec(names[0]) if names else read_spec(DIGITS)


def campaign_spec(name: str) -> Spec:
    """The spec of the campaign called `name`."""
    opened = campaign.Campaign.open(name)
    opened.close()
    return opened.spec


def compare_designs(words: Sequence[str], spec: Spec, *, run_gates: bool = True) -> Comparison:
    """Measure the designs `words` name on the spec's terms. InputError: a bad name, or a design that cannot run it."""
    if len(set(words)) != len(words):
        raise InputError(f"a design is named twice: {' '.join(words)}", "compare", "name each once")
    designs = [api.resolve_design(word) for word in words]
    entries = [measure(word, design, spec, run_gates=run_gates) for word, design in zip(words, designs, strict=True)]
    setting = Setting(spec.workload.model, spec.technology, spec.clock_ns, spec.memory.axi_bytes,
                      spec.memory.latency_cycles)  # fmt: skip
    return Comparison(setting, tuple(entries), _similarities(words, designs), _explored(words))


def measure(word: str, design: Design, spec: Spec, *, run_gates: bool = True) -> Entry:
    """Everything an entry holds about `design`, which the user called `word`."""
    record = _revision(word, design)
    return Entry(
        label=word,
        tree_hash=design.tree_hash,
        macs_per_cycle=design.manifest.macs_per_cycle,
        parameters=design.manifest.parameters,
        variants=design.manifest.variants,
        silicon=_silicon(design, spec),
        work=_work(design, spec),
        gates=_gates(design, spec, record, run_gates),
        cost=_cost(word) if record else None,
    )


def _silicon(design: Design, spec: Spec) -> Silicon:
    files = (*design.rtl, *platform_files())
    found = synthesize(files, "top", design.manifest.parameters, technology(spec.technology), spec.clock_ns)
    activity = f"standard cells at the minimum period, every net toggling {found.activity:g} times a cycle"
    return Silicon(found.area_um2, found.memory_bits, found.min_period_ns, found.power_mw, activity, found.blocks)


def _work(design: Design, spec: Spec) -> Work:
    if design.manifest.parameters["AXI_BYTES"] != spec.memory.axi_bytes:
        have = design.manifest.parameters["AXI_BYTES"]
        raise InputError(
            f"its AXI port has {have} bytes, the spec's memory {spec.memory.axi_bytes}",
            str(design.folder),
            "compare designs at the same memory",
        )
    run = mfm_api.run_workload(spec.workload.model, design, MemoryModel(latency=spec.memory.latency_cycles))
    used = run.counters["mac"] / run.cycles
    return Work(run.cycles, run.macs, used, run.counters)


def _gates(design: Design, spec: Spec, record: Revision | None, run_gates: bool) -> tuple[GateOutcome, ...]:
    """The campaign's own evidence where the tree is the campaign's, else the gates, unless they are not wanted."""
    if record is not None and record.gates:
        return record.gates
    if not run_gates:
        return ()
    judge = FlowEvaluator(spec)
    return tuple(judge.check_design(design, gate) for gate in DESIGN_GATES)


def _revision(word: str, design: Design) -> Revision | None:
    name = word.partition(":")[0]
    if name not in campaign.names():
        return None
    return next((r for r in api.revisions(name) if r.tree_hash == design.tree_hash), None)


def _cost(word: str) -> Cost:
    return api.campaign_status(word.partition(":")[0]).spent


def _explored(words: Sequence[str]) -> tuple[Revision, ...]:
    names = dict.fromkeys(name for name in (word.partition(":")[0] for word in words) if name in campaign.names())
    return tuple(revision for name in names for revision in api.revisions(name))


def _similarities(words: Sequence[str], designs: Sequence[Design]) -> tuple[Similarity, ...]:
    named = [(word, source_files(design)) for word, design in zip(words, designs, strict=True)]
    return tuple(compare_sources(a, b, old, new) for (a, old), (b, new) in permutations(named, 2))
