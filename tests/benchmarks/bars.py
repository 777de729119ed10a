"""Bars of a benchmark, and the command line all benchmarks share."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import date

from agents.api import resolve_design
from hwlib.design import Design
from hwlib.errors import InputError
from verification import toolchain


@dataclass(frozen=True)
class Bar:
    """One figure of a machine, and the bound it must keep."""

    machine: str
    what: str
    value: float
    bound: str
    holds: bool


def at_least(machine: str, what: str, value: float, least: float) -> Bar:
    """A bar that `value` must reach."""
    return Bar(machine, what, value, f">= {least:g}", value >= least)


def at_most(machine: str, what: str, value: float, most: float) -> Bar:
    """A bar that `value` must not pass."""
    return Bar(machine, what, value, f"<= {most:g}", value <= most)


def figure(machine: str, what: str, value: float) -> Bar:
    """A figure reported without a bound."""
    return Bar(machine, what, value, "", True)


def main(name: str, doc: str, measure: Callable[[Design], Iterable[Bar]]) -> int:
    """Measure the design named on the command line; 0 if every bar holds, 1 if not, 2 if it could not be measured."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.benchmarks.{name}", description=doc)
    parser.add_argument("design", nargs="?", default="expert", help="`expert`, a design folder, or a campaign")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    try:
        bars = list(measure(resolve_design(arguments.design)))
    except InputError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    print(as_json(name, arguments.design, bars) if arguments.json else as_table(name, arguments.design, bars))
    return 0 if all(bar.holds for bar in bars) else 1


def as_json(name: str, design: str, bars: list[Bar]) -> str:
    """One object: schema, design, tools and bars."""
    head = {"schema": f"rtloom/benchmark-{name.replace('_', '-')}/1", "design": design}
    return json.dumps(head | {"tools": toolchain.fingerprint(), "bars": [asdict(bar) for bar in bars]}, indent=2)


def as_table(name: str, design: str, bars: list[Bar]) -> str:
    """The Markdown that docs/benchmarks.md records."""
    lines = [
        f"{date.today().isoformat()}, `python -m tests.benchmarks.{name} {design}`, {toolchain.fingerprint()}",
        "",
        "| machine | figure | value | bound | |",
        "| --- | --- | --- | --- | --- |",
    ]
    verdict = {True: "holds", False: "FAILS"}
    lines += [
        f"| {b.machine} | {b.what} | {_number(b.value)} | {b.bound} | {verdict[b.holds] if b.bound else ''} |"
        for b in bars
    ]
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
