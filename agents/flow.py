"""The judge of real campaigns: the gates of `verification`, its synthesis, and the compiler and runs of `mfm`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import yaml

import verification
from agents.cycle_use import CycleUse
from agents.designers import BlockCost
from agents.evaluator import BlockReport, Measured
from agents.kept import kept, sources
from agents.records import Fact, GateOutcome
from agents.strictness import gate_context
from agents.workload import WorkloadCycles, compiler, content
from hwlib import templates
from hwlib.design import Design, Manifest, block_parameters, platform_files, read_design
from hwlib.files import write_whole
from hwlib.spec import Spec
from hwlib.tech import technology
from mfm import api as mfm_api
from verification import cache, gates, proposals, timing, toolchain
from verification.cone import Register, registers
from verification.gates import integrate
from verification.judgement import QUICK_TRANSACTIONS
from verification.memory_macros import macros_of
from verification.proposals import Grade, Proposal
from verification.synthesize import Part, block_parts, synthesize, synthesize_block, technology_digest
from verification.system.simulation import MemoryModel
from verification.yosys import YosysFailed

FINDINGS = 8
"""Findings kept of a refused gate: the first are the smallest."""


def spec_words(spec: Spec) -> tuple[str, ...]:
    """What `rtloom verify` needs besides to judge for `spec` again: a copy of it, kept by content."""
    text = yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False)
    path = cache.entry("specs", f"{cache.digest({'spec': text})[:16]}.yaml")
    if not path.exists():
        write_whole(path, text.encode())
    return "--spec", str(path)


class FlowEvaluator:
    """Judges for one spec. Costs and measurements are kept by content, as gates keep their evidence."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._technology = technology(spec.technology)
        self._workload = WorkloadCycles(spec)
        self._context = replace(gate_context(spec), replay=spec_words(spec))

    def check_block(self, design: Design, block: str, gate: str) -> GateOutcome:
        """One gate on one block."""
        return _outcome(gates.judge(gate, gates.Candidate(design, block), self._context))

    def check_quick(self, design: Design, block: str) -> tuple[GateOutcome, ...]:
        """The gates side by side, at the design's parameters."""
        hasty = replace(self._context, transactions=QUICK_TRANSACTIONS)
        return tuple(_outcome(result) for result in gates.quick_verdict(gates.Candidate(design, block), hasty))

    def check_tests(self, design: Design, block: str, tests: Sequence[Proposal]) -> GateOutcome:
        """The tests by themselves, on one simulator."""
        return _outcome(proposals.run(gates.Candidate(design, block), tests))

    def grade_test(self, block: str, test: Proposal) -> Grade:
        """Against the templates' default block, which no designer wrote and the expert did not either."""
        return proposals.grade(_reference().closure_files(block), block, test)

    def check_design(self, design: Design, gate: str) -> GateOutcome:
        """One gate on the whole design."""
        return _outcome(gates.judge(gate, gates.Candidate(design), self._context))

    def block_cost(self, design: Design, block: str) -> BlockCost:
        """Area, period and energy of one block, its sub-blocks and memories left out."""
        return self.block_report(design, block).cost

    def block_report(self, design: Design, block: str) -> BlockReport:
        """The same with its critical path."""
        files = design.closure_files(block)
        values = block_parameters(block, design.manifest.parameters)
        parts = self._synthesis_parts() | {"files": cache.digest_files(files), "point": json.dumps([block, values])}
        return kept("block-report", parts, lambda: self._block_report(files, block, values), BlockReport)

    def block_parts(self, design: Design, block: str) -> tuple[Part, ...]:
        """The modules of the block, each mapped by itself."""
        values = block_parameters(block, design.manifest.parameters)
        own = {path.stem for path in design.block_files(block)}
        return block_parts(design.closure_files(block), block, values, self._technology, self._spec.clock_ns, own)

    def cone(self, design: Design, block: str, outputs: Sequence[str]) -> tuple[Register, ...]:
        """The registers that ports of the block follow from, at the smallest point it is judged at."""
        point = gates.Candidate(design, block).smallest_point()
        files = design.closure_files(block)

        def compute() -> tuple[Register, ...]:
            try:
                return registers(files, block, point, outputs)
            except YosysFailed:
                return ()

        about = json.dumps([block, point, list(outputs), sources(Path(verification.__file__).parent, "cone.py")])
        parts = {"files": cache.digest_files(files), "about": about, "yosys": str(toolchain.tool("yosys").version)}
        return kept("cone", parts, compute, tuple[Register, ...])

    def _block_report(self, files: tuple[Path, ...], block: str, values: dict[str, int]) -> BlockReport:
        mapped = synthesize_block(files, block, values, self._technology, self._spec.clock_ns)
        netlist, memories = macros_of(mapped.netlist)
        macros = [macro for macro, _ in memories.values()]
        report = timing.measure(netlist, block, self._technology, self._spec.clock_ns, macros)
        cost = BlockCost(mapped.area_um2, report.min_period_ns, report.power_mw * report.min_period_ns)
        path = report.path
        return BlockReport(cost, sum(mapped.cells.values()), path.start, path.end, path.points)

    def model_cycles(self, manifest: Manifest) -> int | None:
        """Cycles of the workload by the cycle model."""
        return self._workload.cycles(manifest)

    def cycle_use(self, manifest: Manifest) -> CycleUse | None:
        """Where they go, by the cycle model."""
        return self._workload.use(manifest)

    def measure(self, design: Design) -> Measured:
        """Synthesis of the whole, and one run of the workload on its RTL."""
        spec = self._spec
        parts = self._synthesis_parts() | {
            "design": design.tree_hash,
            "platform": cache.digest_files(platform_files()),
            "workload": f"{content(spec.workload.model)} {spec.workload.model_dump_json()} {spec.memory}",
            "compiler": compiler(),
            "simulation": integrate.harness_digest(),
        }
        return kept("measured", parts, lambda: self._measure(design), Measured)

    def _measure(self, design: Design) -> Measured:
        files = (*design.rtl, *platform_files())
        found = synthesize(files, "top", design.manifest.parameters, self._technology, self._spec.clock_ns)
        memory = MemoryModel(latency=self._spec.memory.latency_cycles)
        run = mfm_api.run_workload(self._spec.workload.model, design, memory)
        return Measured(found.area_um2, found.min_period_ns, found.power_mw, run.cycles, run.mac_utilisation)

    def _synthesis_parts(self) -> dict[str, str]:
        spec = self._spec
        return {
            "flow": sources(Path(verification.__file__).parent, "*.py"),
            "technology": technology_digest(self._technology),
            "clock": str(spec.clock_ns),
            "tools": toolchain.fingerprint(),
        }


@lru_cache
def _reference() -> Design:
    """The templates' defaults as a design, laid out in the cache."""
    texts = {name: text for block in templates.blocks() for name, text in templates.render(block,
             *templates.defaults()[block]).items()}  # fmt: skip
    folder = cache.entry("reference", cache.digest(texts)[:24])
    if not folder.exists():
        templates.render_design(folder, Manifest(name="reference", parameters={}, clock_ns=10), templates.defaults())
    return read_design(folder)


def _outcome(result: gates.GateResult) -> GateOutcome:
    findings = tuple(str(finding) for finding in result.findings[:FINDINGS])
    facts = tuple(_fact(finding) for finding in result.findings[:FINDINGS] if finding.interface)
    return GateOutcome(result.gate, result.scope, result.passed, findings, result.replay, dict(result.metrics), facts)


def _fact(finding: gates.Finding) -> Fact:
    return Fact(finding.message, finding.file, finding.line, finding.interface, finding.cycle, finding.expected,
                finding.got, finding.vector)  # fmt: skip
