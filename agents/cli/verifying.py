"""Commands on one design: doctor, verify, synth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from agents.cli.output import Json, print_json, show
from agents.cli.reviewing import DESIGN_HELP
from hwlib.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from verification.synthesize import SynthesisResult
    from verification.toolchain import Tool

WORST_POINTS = 12


def doctor(as_json: Json = False) -> int:
    """Show what is installed, what is missing, why it is needed, how to get it, and which sandbox is in force."""
    from verification.toolchain import find_tools

    tools, sandbox = find_tools(), _sandbox()
    missing = [tool.name for tool in tools if not tool.ok and not tool.optional] + ([] if sandbox["name"] else ["sandbox"])
    if as_json:
        print_json("doctor", {"tool_list": [_tool_data(tool) for tool in tools], "sandbox": sandbox, "missing": missing})
    else:
        show(_tool_table(tools), f"Sandbox: {sandbox['name'] or 'none'}. {sandbox['covers']} {sandbox['gaps']}".rstrip())
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
            "optional": tool.optional, "path": tool.path, "install": tool.install}  # fmt: skip


def _tool_table(tools: tuple[Tool, ...]) -> Table:
    from rich.table import Table

    table = Table("tool", "found", "needed", "", "for", "how to get it")
    for tool in tools:
        state = "[green]ok[/green]" if tool.ok else "[yellow]optional[/yellow]" if tool.optional else "[red]missing[/red]"
        table.add_row(tool.name, tool.version or "—", tool.needed, state, tool.why, "" if tool.ok else tool.install)
    return table


def synth(
    design: Annotated[str, typer.Argument(help=DESIGN_HELP)],
    tech: Annotated[str, typer.Option(help="osu018, sky130hd=PATH, or the path of a Liberty file.")] = "osu018",
    clock: Annotated[float | None, typer.Option(help="Clock constraint in ns; default: the design's own.")] = None,
    as_json: Json = False,
) -> int:
    """Synthesise DESIGN: area, timing, power, by block. Exit 1 if it misses the clock or has latches."""
    from agents import api
    from hwlib import tech as technologies
    from hwlib.design import platform_files
    from verification.synthesize import synthesize

    technology, found = technologies.technology(tech), api.resolve_design(design)
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
    table.add_row("logic area", f"{result.area_um2 / 1e6:.4f} mm², {result.cells:,} cells, {result.flip_flops:,} flip-flops")
    table.add_row("memories (apart)", f"{result.memory_bits / 1024:,.1f} Kibit")
    table.add_row("minimum period", f"{result.min_period_ns:.2f} ns ({1e3 / result.min_period_ns:.1f} MHz), {met} "
                                    f"{result.clock_ns:g} ns")  # fmt: skip
    table.add_row("power", f"{result.power_mw:.2f} mW at that period, every net toggling {result.activity:g} times a cycle")
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
