"""Commands on designs at hand: doctor, verify, equiv, synth."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agents.cli.campaigns import DEFAULT_SPEC, SHOWN_SPEC
from agents.cli.designs import DESIGN_HELP, Set, design_at
from agents.cli.output import Json, marked, print_json, show
from agents.cli.seeds import BenchSeed
from hwlib.errors import InputError, plain

if TYPE_CHECKING:
    from rich.table import Table

    from verification.equivalence import Sameness
    from verification.gates import GateResult
    from verification.mutation_table import Recorded
    from verification.synthesize import SynthesisResult
    from verification.toolchain import Tool

WORST_POINTS = 12


def doctor(as_json: Json = False) -> int:
    """Show what is installed, what is missing, why it is needed, how to get it, and which sandbox is in force."""
    from verification.toolchain import find_tools

    tools, sandbox = find_tools(), _sandbox()
    missing = [tool.name for tool in tools if not tool.ok and not tool.optional]
    missing += [] if sandbox["name"] else ["sandbox"]
    if as_json:
        data = [_tool_data(tool) for tool in tools]
        print_json("doctor", {"tool_list": data, "sandbox": sandbox, "missing": missing})
    else:
        protection = f"Sandbox: {sandbox['name'] or 'none'}. {sandbox['covers']} {sandbox['gaps']}"
        show(_tool_table(tools), protection.rstrip())
        show("Everything needed is here." if not missing else f"Missing: {', '.join(missing)}.")
    return 2 if missing else 0


def _sandbox() -> dict[str, str]:
    from verification.sandbox import protection

    try:
        found = protection()
    except InputError as error:
        return {"name": "", "covers": str(error), "gaps": ""}
    return {"name": found.name, "covers": found.covers, "gaps": found.gaps}


def _tool_data(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "version": tool.version, "needed": tool.needed, "ok": tool.ok, "why": tool.why,
            "optional": tool.optional, "path": tool.path, "install": tool.install,
            "elsewhere": tool.elsewhere}  # fmt: skip


def _tool_table(tools: tuple[Tool, ...]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table("tool", "found", "needed", "", "for", "how to get it")
    for tool in tools:
        lacking = Text("optional", "yellow") if tool.optional else Text("missing", "red")
        state = Text("ok", "green") if tool.ok else lacking
        table.add_row(tool.name, tool.version or "—", tool.needed, state, tool.why, "" if tool.ok else _remedies(tool))
    return table


def _remedies(tool: Tool) -> str:
    return f"{tool.install}\nelsewhere: {tool.elsewhere}"


def verify(
    design: Annotated[str, typer.Argument(help=DESIGN_HELP)],
    changes: Set = None,
    gate: Annotated[
        list[str] | None, typer.Option("--gate", help="Only this gate; repeat for more. Default: all, in order.")
    ] = None,
    block: Annotated[str, typer.Option(help="Judge one block instead of the whole design.")] = "",
    quick: Annotated[
        bool, typer.Option("--quick", help="Of a block, only what an edit in progress needs: one point, one simulator.")
    ] = False,
    spec: Annotated[
        Path, typer.Option(help="Workload, memory, technology and clock.", show_default=SHOWN_SPEC)
    ] = DEFAULT_SPEC,
    transactions: Annotated[
        int | None,
        typer.Option(help="At least so many a block and simulator, over its points. Default: 1000, quick 60."),
    ] = None,
    seed: BenchSeed = 1,
    as_json: Json = False,
) -> int:
    """Run the gates on DESIGN, cheapest first, until one refuses it; kept evidence is reused. Exit 1 if refused."""
    from agents.strictness import gate_context
    from hwlib import contracts
    from hwlib.spec import read_spec
    from verification import gates
    from verification.judgement import QUICK_TRANSACTIONS, TRANSACTIONS

    wanted = transactions if transactions is not None else QUICK_TRANSACTIONS if quick else TRANSACTIONS
    if wanted < 1:
        raise InputError(f"{wanted} transactions", "--transactions", "give at least 1")
    names = [gates.gate(name).NAME for name in gate or []] or None
    if block and block not in contracts.names():
        raise InputError(f"no block '{block}'", "--block", f"blocks: {', '.join(contracts.names())}")
    found = design_at(design, changes)
    replay = ("--spec", str(spec.absolute()), *(word for change in changes or [] for word in ("--set", change)))
    context = replace(gate_context(read_spec(spec)), replay=replay, progress=_report_gate,
                      transactions=wanted, seed=seed, quick=quick)  # fmt: skip
    candidate = gates.Candidate(found, block) if block else gates.Candidate(found)
    if quick and not names:
        results = gates.quick_verdict(candidate, context)
    else:
        results = gates.verdict(candidate, context, names)
    if not results:
        raise InputError(f"{', '.join(names or [])} judges whole designs", "--gate", "leave --block out")
    accepted = all(result.passed for result in results)
    benches = {} if quick else _bench_scores(results)
    if as_json:
        figures = {"design": design, "tree_hash": found.tree_hash, "accepted": accepted,
                   "gates": [result.to_data() for result in results],
                   "bench_scores": {name: score and asdict(score) for name, score in benches.items()}}  # fmt: skip
        print_json("verify", figures)
    else:
        if quick:
            print(", ".join(f"{r.gate} {'passed' if r.passed else 'refused'} ({_seconds(r)})" for r in results))
        else:
            show(_verdict(results))
        for line in (*_score_lines(benches), *_refusals(results), f"{design}: {'passed' if accepted else 'refused'}"):
            print(plain(line))  # not folded: commands are to be pasted
    return 0 if accepted else 1


def _seconds(result: GateResult) -> str:
    return "kept" if result.reused else f"{result.seconds:.1f}"


def _bench_scores(results: list[GateResult]) -> dict[str, Recorded | None]:
    """By block that `simulate` judged: how many planted faults its bench was found to find, None if never measured."""
    from hwlib import contracts
    from hwlib.design import EXPERT, read_design
    from verification.judgement import WHOLE
    from verification.mutation_table import recorded

    scopes = [result.scope for result in results if result.gate == "simulate"]
    blocks = [name for name in contracts.names() if name != "top"] if WHOLE in scopes else scopes
    reference = read_design(EXPERT)
    return {block: recorded(block, reference) for block in blocks}


def _score_lines(scores: dict[str, Recorded | None]) -> list[str]:
    """How good the benches are that judged, in a line."""
    words = [f"{block} never measured" if score is None else str(score) for block, score in scores.items()]
    return [f"Planted faults the benches find: {', '.join(words)}"] if words else []


def _report_gate(gate: str, scope: str, state: str) -> None:
    if state != "reused":
        print(f"{gate} {scope}: {state}", file=sys.stderr, flush=True)


def _verdict(results: list[GateResult]) -> Table:
    from rich.table import Table

    table = Table("gate", "result", "seconds", "findings", "metrics")
    for r in results:
        word = marked(r.passed, "passed", "refused")
        numbers = {name: value for name, value in r.metrics.items() if isinstance(value, int | float)}
        metrics = ", ".join(f"{name} {value:,.6g}" for name, value in numbers.items())
        table.add_row(r.gate, word, _seconds(r), str(len(r.findings)), metrics)
    return table


def _refusals(results: list[GateResult]) -> list[str]:
    """A line for each finding, and the command that shows them again."""
    refused = [r for r in results if not r.passed]
    return [line for r in refused for line in (*map(str, r.findings), f"Again: {r.replay}")]


def equiv(
    first: Annotated[str, typer.Argument(help=DESIGN_HELP)],
    second: Annotated[str, typer.Argument(help=DESIGN_HELP)],
    block: Annotated[str, typer.Option(help="Only this block. Default: every block whose files differ.")] = "",
    seconds: Annotated[float, typer.Option(help="Time for a block's proof.")] = 10.0,
    as_json: Json = False,
) -> int:
    """Prove that blocks of two designs do the same in every cycle, for all inputs their contracts allow.

    At each contract's first bench point, from registers that begin at 0. Exit 1 unless all are equal.
    """
    from hwlib import contracts
    from verification.equivalence import changed, same

    if block and block not in contracts.names():
        raise InputError(f"no block '{block}'", "--block", f"blocks: {', '.join(contracts.names())}")
    one, two = design_at(first, None), design_at(second, None)
    found = [same(one, two, name, seconds=seconds) for name in ([block] if block else changed(one, two))]
    if as_json:
        print_json("equiv", {"first": first, "second": second, "blocks": [asdict(each) for each in found]})
    else:
        for each in found:
            print(_sameness(each))
        print(f"{first}, {second}: {'equal' if all(each.state == 'equal' for each in found) else 'not proved equal'}")
    return 0 if all(each.state == "equal" for each in found) else 1


def _sameness(found: Sameness) -> str:
    if found.state == "unknown":
        return f"{found.block}: unknown, the same for {found.cycle} cycles"
    values = [f"{name} {one:#x} and {two:#x}" for name, one, two in found.signals]
    given = "; ".join(
        f"cycle {cycle}: " + ", ".join(f"{name} {value:#x}" for name, value in inputs.items() if value)
        for cycle, inputs in enumerate(found.inputs)
    )
    return f"{found.block}: {found.state}" + (
        f" in cycle {found.cycle}: {', '.join(values)}; {given}" if values else ""
    )


def synth(
    design: Annotated[str, typer.Argument(help=DESIGN_HELP)],
    changes: Set = None,
    tech: Annotated[str, typer.Option(help="osu018, sky130hd=PATH, or the path of a Liberty file.")] = "osu018",
    clock: Annotated[float | None, typer.Option(help="Clock constraint in ns; default: the design's own.")] = None,
    as_json: Json = False,
) -> int:
    """Synthesise DESIGN: area, timing, power, by block. Exit 1 if it misses the clock or has latches."""
    from hwlib import tech as technologies
    from hwlib.design import platform_files
    from verification.synthesize import synthesize

    technology, found = technologies.technology(tech), design_at(design, changes)
    period = found.manifest.clock_ns if clock is None else clock
    if not 0.1 < period <= 1000:
        raise InputError(f"{period} ns", "--clock", "give a period above 0.1 and at most 1000")
    files = (*found.rtl, *platform_files())
    result = synthesize(files, "top", found.manifest.parameters, technology, period)
    if as_json:
        print_json("synth", {"design": design, "tree_hash": found.tree_hash} | synthesis_data(result))
    else:
        show(_synthesis_table(design, result), _block_table(result), _path_table(result))
    return 0 if result.min_period_ns <= period and not result.latches and not result.unmapped else 1


def synthesis_data(result: SynthesisResult) -> dict[str, Any]:
    """A synthesis result for JSON."""
    path = result.critical_path
    return {
        "technology": result.technology, "clock_ns": result.clock_ns, "area_um2": result.area_um2,
        "cells": result.cells, "flip_flops": result.flip_flops, "memory_bits": result.memory_bits,
        "period_ns": result.min_period_ns, "clock_mhz": 1e3 / result.min_period_ns, "power_mw": result.power_mw,
        "activity": result.activity, "block_area_um2": result.blocks, "latches": result.latches,
        "unmapped": result.unmapped, "wall_s": result.seconds,
        "critical_path": {"start": path.start, "end": path.end, "delay_ns": path.delay_ns},
    }  # fmt: skip


def _synthesis_table(design: str, result: SynthesisResult) -> Table:
    from rich.table import Table

    met = "meets" if result.min_period_ns <= result.clock_ns else "misses"
    table = Table(title=f"{design} in {result.technology}", title_justify="left", show_header=False)
    cells = f"{result.cells:,} cells, {result.flip_flops:,} flip-flops"
    table.add_row("logic area", f"{result.area_um2 / 1e6:.4f} mm², {cells}")
    table.add_row("memories (apart)", f"{result.memory_bits / 1024:,.1f} Kibit")
    table.add_row("minimum period", f"{result.min_period_ns:.2f} ns ({1e3 / result.min_period_ns:.1f} MHz), {met} "
                                    f"{result.clock_ns:g} ns")  # fmt: skip
    activity = f"every net toggling {result.activity:g} times a cycle"
    table.add_row("power", f"{result.power_mw:.2f} mW at that period, {activity}")
    table.add_row("latches, unmapped cells", ", ".join((*result.latches, *result.unmapped)) or "none")
    return table


def _block_table(result: SynthesisResult) -> Table:
    from rich.table import Table

    table = Table("block", "area mm²", "share", title="area by block", title_justify="left")
    for name, area in sorted(result.blocks.items(), key=lambda item: -item[1]):
        table.add_row(name, f"{area / 1e6:.4f}", f"{100 * area / result.area_um2:.1f} %")
    return table


def _path_table(result: SynthesisResult) -> Table:
    from rich.table import Table

    path = result.critical_path
    table = Table("at ns", "pin", "cell", title=f"critical path: {path.start} to {path.end}", title_justify="left")
    for pin, cell, time_ns in path.points[-WORST_POINTS:]:
        table.add_row(f"{time_ns:.2f}", pin, cell)
    return table
