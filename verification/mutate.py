"""Faults planted in a block's netlist, to see whether its bench finds them.

Yosys plants all of them in one netlist, of which an input, `choice`, makes one effective (0: none): one build, and one
simulation runs the bench once a fault. The block is flattened at one parameter point, so that what it instantiates is
mutated with it; memories keep to the platform's cell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hwlib import contracts
from hwlib.contracts.schema import Port
from hwlib.errors import InputError
from verification import cache, simulate, toolchain, yosys
from verification.benches import exchange
from verification.benches.scenario import Scenario
from verification.build import copy_sources
from verification.sandbox import Limits
from verification.simulate import ScenarioResult, Simulator
from verification.yosys import MEMORY_CELL

CHOICE = "choice"
CHOICE_BITS = 16
MOST = (1 << CHOICE_BITS) - 1
SECONDS_EACH = 20.0
"""Time limit of a simulation for each fault it runs."""

OPTION = re.compile(r"-(\w+) (\S+)")
_CONTROL = re.compile(rf"-ctrl {CHOICE} \d+ \d+ ")
_LIMITS = Limits(seconds=300, memory_bytes=4 << 30)


@dataclass(frozen=True)
class Mutation:
    """One fault: its number (`choice` that makes it effective) and the Yosys command that plants it for good."""

    number: int
    command: str

    @property
    def source(self) -> str:
        """Where in the RTL the faulty cell or wire comes from, as `file:line`; empty if Yosys made it."""
        return next((value.partition(".v:")[0] + ".v:" + value.partition(".v:")[2].partition(".")[0]
                     for name, value in OPTION.findall(self.command) if name == "src"), "")  # fmt: skip

    def __str__(self) -> str:
        said = dict(OPTION.findall(self.command))
        cell = said.get("cell", "").rpartition("\\")[2]
        wire = f" ({said['wire']}[{said['wirebit']}])" if "wire" in said else ""
        by = f" by bit {said['ctrlbit']}" if "ctrlbit" in said else ""
        return f"{self.source or self.command}: {said['mode']}{by} at {said['port']}[{said['portbit']}] of {cell}{wire}"


@dataclass(frozen=True)
class Mutants:
    """A block at a parameter point with its faults: the netlist that has all of them, and the one without, as RTLIL
    and as Yosys' JSON."""

    block: str
    point: Mapping[str, int]
    netlist: Path
    original: str
    graph: Path
    mutations: tuple[Mutation, ...]
    cells: tuple[Path, ...] = ()

    @cached_property
    def ports(self) -> list[Port]:
        return [*contracts.load(self.block).ports(self.point), Port(CHOICE, "input", CHOICE_BITS)]


def plant(files: Sequence[Path], block: str, point: Mapping[str, int], count: int, seed: int = 1) -> Mutants:
    """`count` faults in `block` of `files` at `point`, sampled evenly by Yosys from `seed`; fewer if it knows no more.

    Raises InputError for a count out of range, YosysFailed if Yosys refuses the RTL.
    """
    if not 0 < count <= MOST:
        raise InputError(f"{count} mutants", "--count", f"give 1 to {MOST}")
    toolchain.require("yosys")
    cells = tuple(path for path in files if path.stem == MEMORY_CELL)
    script = _elaboration(block, point, bool(cells))
    parts = {"version": "2", "files": cache.digest_files(tuple(files)), "script": script,
             "sample": f"{count} {seed} {CHOICE_BITS}", "yosys": str(toolchain.tool("yosys").version)}  # fmt: skip
    key = cache.digest(parts)
    done = cache.entry("mutants", key)
    if not done.is_dir():
        with cache.scratch_folder("mutants") as work:
            names = [name for name in copy_sources(files, work) if name != f"{MEMORY_CELL}.v"]
            yosys.run(
                f"read_verilog {' '.join(names)}\n{script}write_rtlil original.il\nwrite_json original.json\n",
                work,
                _LIMITS,
            )
            _plant_in(work, block, count, seed)
            done = cache.publish(work / "result", "mutants", key)
    lines = (done / "commands").read_text().splitlines()
    mutations = tuple(Mutation(number, _CONTROL.sub("", line)) for number, line in enumerate(lines, 1))
    return Mutants(block, dict(point), done / f"{block}.v", (done / "original.il").read_text(),
                   done / "original.json", mutations, cells)  # fmt: skip


def run_bench(
    mutants: Mutants, scenarios: Sequence[Scenario], simulator: Simulator, numbers: Sequence[int], seed: int = 1
) -> dict[int, ScenarioResult]:
    """Which of the faults `numbers` the scenarios find, and the result that shows each.

    Scenario by scenario, each on the faults that those before it left. Raises InputError if the fault-free netlist does
    not pass them.
    """
    executable = simulate.build(mutants.block, (mutants.netlist, *mutants.cells), {}, simulator, mutants.ports)
    killed: dict[int, ScenarioResult] = {}
    for index in range(len(scenarios)):
        left = [0, *(n for n in numbers if n not in killed)]
        found = _run_scenario(mutants, scenarios[index], executable, simulator, left, seed)
        if 0 in found:
            where = f"bench of {mutants.block}, scenario {scenarios[index].name}"
            raise InputError(f"the netlist without a fault does not pass: {found[0].why}", where)
        killed |= found
    return killed


def faulty_files(mutants: Mutants, mutation: Mutation, folder: Path) -> list[Path]:
    """Files, made in `folder`, of a block that has its contract's ports and parameters and the one fault for good."""
    inner = f"{mutants.block}_faulty"
    text = mutants.netlist.read_text().replace(f"module {mutants.block}(", f"module {inner}(", 1)
    (folder / f"{inner}.v").write_text(text)
    contract = contracts.load(mutants.block)
    parameters = ", ".join(f"parameter {name} = {p.default}" for name, p in contract.parameters.items())
    ports = contract.ports(mutants.point)
    heads = ", ".join(f"{port.direction} wire [{port.width - 1}:0] {port.name}" for port in ports)
    bound = ", ".join(f".{port.name}({port.name})" for port in ports)
    choice = f".{CHOICE}({CHOICE_BITS}'d{mutation.number})"
    shell = f"module {mutants.block} #({parameters}) ({heads});\n    {inner} faulty ({bound}, {choice});\nendmodule\n"
    (folder / f"{mutants.block}.v").write_text(shell)
    return [folder / f"{mutants.block}.v", folder / f"{inner}.v", *mutants.cells]


def _elaboration(block: str, point: Mapping[str, int], memory: bool) -> str:
    """Word-level cells without redundancy that Yosys knows of: faults in it would change nothing."""
    words = " ".join(f"-chparam {name} {value}" for name, value in sorted(point.items()))
    box = f"read_verilog -lib {MEMORY_CELL}.v\n" if memory else ""
    return f"{box}hierarchy -check -top {block} {words}\nprep -flatten\nopt -full\nopt_clean -purge\n"


def _plant_in(work: Path, block: str, count: int, seed: int) -> None:
    """The result folder: the commands, the original and the netlist. Names are those of the file, so the commands fit a
    fresh session that reads it."""
    result = work / "result"
    result.mkdir()
    listing = f"mutate -list {count} -seed {seed} -ctrl {CHOICE} {CHOICE_BITS} 1 -o result/commands\n"
    yosys.run(f"read_rtlil original.il\n{listing}", work, _LIMITS)
    planting = f"script result/commands\nopt_clean\nwrite_verilog -noattr result/{block}.v\n"
    yosys.run(f"read_rtlil original.il\n{planting}", work, _LIMITS)
    for name in ("original.il", "original.json"):
        (work / name).rename(result / name)


def _run_scenario(
    mutants: Mutants, scenario: Scenario, executable: Path, simulator: Simulator, numbers: Sequence[int], seed: int
) -> dict[int, ScenarioResult]:
    """The faults among `numbers` under which `scenario` fails. One that ends the simulation is the first in the next,
    where no other can have been the cause."""
    contract = contracts.load(mutants.block)
    stimulus = exchange.encode(contract, mutants.point, [scenario])
    failed: dict[int, ScenarioResult] = {}
    left = list(numbers)
    while left:
        choices = {"choices": [(number, 0) for number in left]}
        seconds = 60 + SECONDS_EACH * len(left)
        lines, done = simulate.run(executable, mutants.block, stimulus | choices, simulator, seed, seconds)
        seen: list[str | None] = [*lines]
        for number, line in zip(left, seen or [None], strict=False):
            outcome = simulate.result(scenario, line, done, contract, simulator)
            if not outcome.passed:
                failed[number] = outcome
        left = left[max(1, len(lines)) :]
    return failed
