"""synthesise: the design maps to standard cells without latches, and meets clock, and area and power if limited."""

from __future__ import annotations

import time
from dataclasses import asdict

from hwlib.errors import InputError
from hwlib.tech import technology
from verification import timing, toolchain
from verification.judgement import Candidate, Context, Finding, GateResult, refusal
from verification.synthesize import SynthesisResult, synthesize, technology_digest

NAME = "synthesise"
VERSION = 3
DEFAULT_TECHNOLOGY = "osu018"


def settings(candidate: Candidate, context: Context) -> str:
    """Technology and limits."""
    target = technology_digest(context.technology or technology(DEFAULT_TECHNOLOGY))
    return f"{target} {context.clock_ns} {context.area_limit_um2} {context.power_limit_mw} {timing.ACTIVITY}"


def run(candidate: Candidate, context: Context) -> GateResult:
    """Synthesise the whole at the context's clock, by default the manifest's; LibertyFailed says nothing of it."""
    begin = time.monotonic()
    toolchain.require("yosys", "sta")
    manifest = candidate.design.manifest
    target = context.technology or technology(DEFAULT_TECHNOLOGY)
    clock_ns = context.clock_ns or manifest.clock_ns
    try:
        result = synthesize(candidate.files(), "top", manifest.parameters, target, clock_ns, context.jobs)
    except timing.LibertyFailed:
        raise
    except InputError as error:
        findings, metrics = [refusal(error, "top")], {}
    else:
        findings, metrics = _judge(result, context), asdict(result)
        metrics["critical_path"] = f"{result.critical_path.start} to {result.critical_path.end}"
    return GateResult(
        NAME,
        candidate.scope,
        not findings,
        tuple(findings),
        metrics,
        seconds=time.monotonic() - begin,
    )


def _judge(result: SynthesisResult, context: Context) -> list[Finding]:
    findings = [Finding(f"{cell} cells in the netlist: latches are not allowed") for cell in result.latches]
    findings += [Finding(f"{cell} cells could not be mapped") for cell in result.unmapped]
    path = f"{result.critical_path.start} to {result.critical_path.end}"
    bounds = (
        (f"minimum period, path {path}", result.min_period_ns, result.clock_ns, "ns"),
        ("area", result.area_um2, context.area_limit_um2, "um2"),
        ("power", result.power_mw, context.power_limit_mw, "mW"),
    )
    for name, value, bound, unit in bounds:
        if bound is not None and value > bound:
            findings.append(Finding(name, block="top", expected=f"at most {bound:g} {unit}", got=f"{value:.5g} {unit}"))
    return findings
