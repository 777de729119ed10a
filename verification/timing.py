"""Static timing and power of a mapped netlist with OpenSTA, in the sandbox."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath

from hwlib.errors import InputError
from hwlib.tech import Technology
from verification import cache, memory_macros, sandbox

ACTIVITY = 0.2
"""Transitions a cycle assumed on every net; OpenSTA 2019 reads no waveforms."""

_POINT = re.compile(r"^ +-?[\d.]+ +-?(?P<time>[\d.]+) [v^] (?P<pin>\S+) \((?P<cell>\S+)\)$", re.MULTILINE)


_DECLARATION = re.compile(r"  (?:input|output|wire) (?:\[(?P<high>\d+):(?P<low>\d+)\] )(?P<name>\w+);")
_CONCATENATION = re.compile(r"  assign (?P<left>\{.*\}) = (?P<right>.*);$")


class LibertyFailed(InputError):
    """The technology's Liberty file is at fault, not the design."""


@dataclass(frozen=True)
class Path:
    """A timing path: where it starts and ends, its delay, and (pin, cell, time in ns) along it."""

    start: str
    end: str
    delay_ns: float
    points: tuple[tuple[str, str, float], ...]


@dataclass(frozen=True)
class Report:
    """The shortest period that meets timing, its critical path, and the power at that period.

    A design without a path that takes time has period 0, and its power is that at the clock asked for.
    """

    min_period_ns: float
    path: Path
    power_mw: float


def measure(
    netlist: str, top: str, technology: Technology, clock_ns: float, macros: Sequence[memory_macros.Macro]
) -> Report:
    """Analyse the Verilog text `netlist`. Raises InputError if OpenSTA cannot."""
    with cache.scratch_folder("sta") as work:
        (work / "cells.lib").write_bytes(read_liberty(technology.liberty))
        access, setup = technology.sram_access_ns, technology.sram_setup_ns
        (work / "macros.lib").write_text(memory_macros.liberty(macros, access, setup))
        (work / "netlist.v").write_text(split_assignments(netlist))
        (work / "sta.tcl").write_text(_script(top, clock_ns))
        done = sandbox.run(["sta", "-exit", "sta.tcl"], work, limits=sandbox.Limits(seconds=600, memory_bytes=8 << 30))
    if not done.ok or "Error" in done.output or "worst slack" not in done.output:
        lines = [line for line in done.output.splitlines() if "rror" in line]
        what = lines[0] if lines else done.stopped or "no timing report"
        if "cells.lib" in what:
            raise LibertyFailed(f"OpenSTA: {what}", str(technology.liberty), "check --tech")
        raise InputError(what, "OpenSTA")
    return _read(done.output, clock_ns)


def read_liberty(path: FilePath) -> bytes:
    """The text of a Liberty file, unpacked; LibertyFailed if it cannot be."""
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError, zlib.error) as error:
        raise LibertyFailed(f"cannot read this Liberty file: {error}", str(path), "check --tech") from None


def split_assignments(netlist: str) -> str:
    """The netlist with assignments to concatenations one bit a line: OpenSTA reads no others."""
    lines: list[str] = []
    widths: dict[str, tuple[int, int]] = {}
    for line in netlist.splitlines():
        declared = _DECLARATION.match(line)
        if declared:
            widths[declared["name"]] = (int(declared["high"] or 0), int(declared["low"] or 0))
        match = _CONCATENATION.match(line)
        if match is None:
            lines.append(line)
            continue
        left, right = _bits(match["left"], widths), _bits(match["right"], widths)
        lines += [f"  assign {a} = {b};" for a, b in zip(left, right, strict=True)]
    return "\n".join(lines) + "\n"


def _bits(expression: str, widths: Mapping[str, tuple[int, int]]) -> list[str]:
    """The single bits of a concatenation, constant or net, most significant first."""
    if expression.startswith("{"):
        parts = re.findall(r"\\\S+\s|[^\s,{}]+", expression[1:-1] + " ")
        return [bit for part in parts for bit in _bits(part.strip() + (" " if part[0] == "\\" else ""), widths)]
    constant = re.fullmatch(r"\d+'b([01]+)", expression)
    if constant:
        return [f"1'b{bit}" for bit in constant[1]]
    if expression.startswith("\\"):
        return [expression]
    chosen = re.fullmatch(r"(\w+)(?:\[(\d+)(?::(\d+))?\])?", expression)
    if chosen is None:
        raise InputError(f"cannot read '{expression}'", "mapped netlist")
    name, high, low = chosen.groups()
    if name not in widths:
        return [name]
    first, last = widths[name] if high is None else (int(high), int(low or high))
    return [f"{name}[{n}]" for n in range(first, last - 1, -1)]


def _script(top: str, clock_ns: float) -> str:
    return f"""read_liberty cells.lib
read_liberty macros.lib
read_verilog netlist.v
link_design {top}
create_clock -name clk -period {clock_ns} [get_ports clk]
set inputs {{}}
foreach port [all_inputs] {{
    set name [get_property $port full_name]
    if {{$name ne "clk"}} {{ lappend inputs $port }}
    if {{$name eq "rst_n"}} {{ set_false_path -from $port }}
}}
set_input_delay 0 -clock clk $inputs
set_output_delay 0 -clock clk [all_outputs]
report_checks -path_delay max -digits 4
report_worst_slack -digits 4
set_power_activity -global -activity {ACTIVITY}
report_power -digits 6
"""


def _read(output: str, clock_ns: float) -> Report:
    slack = re.findall(r"^worst slack (-?[\d.]+)", output, re.MULTILINE)  # none if there is no path
    total = re.search(r"^Total +(\S+) +(\S+) +(\S+) +(\S+)", output, re.MULTILINE)
    if total is None:
        raise InputError("no power report", "OpenSTA")
    internal, switching, leakage = (float(total[n]) * 1e3 for n in (1, 2, 3))
    period = max(clock_ns - float(slack[-1]), 0.0) if slack else 0.0
    rate = clock_ns / period if period else 1.0
    return Report(period, _path(output), (internal + switching) * rate + leakage)


def _path(output: str) -> Path:
    start, end = (re.search(rf"^{word}: (\S+)", output, re.MULTILINE) for word in ("Startpoint", "Endpoint"))
    if start is None or end is None:
        return Path("", "", 0.0, ())
    points = tuple((m["pin"], m["cell"], float(m["time"])) for m in _POINT.finditer(output))
    return Path(start[1], end[1], points[-1][2] if points else 0.0, points)
