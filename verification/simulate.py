"""Runs a block's scenarios on a simulator and judges what came out, outside the process that loaded the RTL.

``python -m verification.simulate DESIGN BLOCK`` runs a block's public bench and prints the first mismatches.
"""

from __future__ import annotations

import argparse
import importlib.machinery
import importlib.util
import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast, get_args

import cocotb_tools.config
import find_libpython

from hwlib import contracts
from hwlib.contracts.schema import Contract, Port
from hwlib.design import read_design
from hwlib.errors import InputError
from verification import cache, sandbox, toolchain, verilate
from verification.benches import exchange
from verification.benches.scenario import Mismatch, Observed, Scenario, ScenarioFactory
from verification.build import BuildFailed, copy_sources

Simulator = Literal["icarus", "verilator"]
SIMULATORS: tuple[Simulator, ...] = get_args(Simulator)
MAX_RECORD_BYTES = 64 << 20
"""Of what the driver writes down; a run of all blocks' benches stays far below."""
COVERAGE = "coverage.dat"
_WRITE_COVERAGE = f'Verilated::threadContextp()->coveragep()->write("{COVERAGE}");'
_DRIVER = Path(exchange.__file__).with_name("driver.py")


@dataclass(frozen=True)
class ScenarioResult:
    """How one scenario went. It passed only if it ended by its own condition, saw at least the transfers it promises to
    compare, and showed no mismatch and no protocol fault; `why` is one line, empty if passed."""

    name: str
    simulator: Simulator
    passed: bool
    why: str
    mismatches: tuple[Mismatch, ...] = ()
    violations: tuple[str, ...] = ()
    transfers: int = 0
    cycles: int = 0
    finished: bool = False
    observed: Observed | None = field(default=None, repr=False, compare=False)


def simulate(
    block: str,
    files: Sequence[Path],
    point: Mapping[str, int],
    scenarios: Sequence[Scenario],
    simulator: Simulator = "icarus",
    seed: int = 1,
    seconds: float = 300,
    contract: Contract | None = None,
    fixed: bool = False,
) -> list[ScenarioResult]:
    """Build `block` from `files` at parameters `point` and run `scenarios` one after another in one simulation.

    `seed` sets Verilator's random initial state; stimulus comes from each scenario's own. `contract` overrides the one
    of that name (for benches of the bench). `fixed`: the files have no parameters, they are of that point. Raises
    BuildFailed if a compiler refuses the RTL.
    """
    promise = contract or contracts.load(block)
    stimulus = exchange.encode(promise, point, scenarios)
    executable = build(block, files, point, simulator, promise.ports(point), fixed)
    lines, done = run(executable, block, stimulus, simulator, seed, seconds)
    return [result(s, lines[i] if i < len(lines) else None, done, promise, simulator) for i, s in enumerate(scenarios)]


def run(
    executable: Path, block: str, stimulus: Mapping[str, Any], simulator: Simulator, seed: int = 1, seconds: float = 300
) -> tuple[list[str], sandbox.Completed]:
    """What the driver wrote down, a line for each run of `stimulus` that came to its end, and how the process ended."""
    with cache.scratch_folder("run") as work:
        return run_in(work, executable, block, stimulus, simulator, seed, seconds)


def run_in(
    work: Path,
    executable: Path,
    block: str,
    stimulus: Mapping[str, Any],
    simulator: Simulator,
    seed: int = 1,
    seconds: float = 300,
) -> tuple[list[str], sandbox.Completed]:
    """`run` in the folder `work`, where what the simulation leaves stays."""
    shutil.copyfile(_DRIVER, work / "driver.py")
    (work / "stimulus.json").write_text(json.dumps(stimulus))
    limits = sandbox.Limits(seconds=seconds, processes=16, file_bytes=MAX_RECORD_BYTES)
    # Run where it lies, to be read only: a copy could not be started while any thread's fork holds its file open.
    done = sandbox.run(
        _run_words(simulator, str(executable), seed),
        work,
        readable=(executable.parent,),
        env=run_environment(block, seed),
        limits=limits,
    )
    lines = (sandbox.result_text(work / "observations.jsonl", MAX_RECORD_BYTES) or "").splitlines()
    return lines, done


def build(
    block: str,
    files: Sequence[Path],
    point: Mapping[str, int],
    simulator: Simulator,
    ports: Sequence[Port],
    fixed: bool = False,
    coverage: bool = False,
) -> Path:
    """The compiled simulation of `block` at `point`, from the cache if these exact files were built before; the driver
    sees `ports`. `coverage` (Verilator's): a run leaves COVERAGE, how often lines ran and bits toggled."""
    toolchain.require(*(("iverilog", "vvp") if simulator == "icarus" else ("verilator", "g++", "perl")), "cocotb")
    parameters = {} if fixed else point
    if simulator == "icarus":
        return _build_icarus(block, files, parameters)
    libraries = cocotb_tools.config.libs_dir
    main = (cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp").read_text()
    if coverage:
        main = f'#include "verilated_cov.h"\n{main}'.replace("top->final();", f"top->final();\n{_WRITE_COVERAGE}")
    link = (f"-L{libraries}", f"-Wl,-rpath,{libraries}", "-lcocotbvpi_verilator")
    harness = verilate.Harness({"main.cpp": main}, link, ports=tuple(ports), split=False, coverage=coverage)
    # Not inlined, what stands many times is compiled once, in half the time; long runs of deep arrays are slower so.
    harness = replace(harness, verilator=(*harness.verilator, "-fno-inline"))
    return verilate.build(files, block, parameters, harness)


def bench(block: str) -> ScenarioFactory:
    """The scenario factory of `block`'s public bench."""
    try:
        module = importlib.import_module(f"verification.benches.{block}")
    except ModuleNotFoundError as error:
        if error.name != f"verification.benches.{block}":
            raise
        raise InputError(f"no bench for block '{block}'", "verification/benches") from None
    return cast(ScenarioFactory, module.scenarios)


def _build_icarus(block: str, files: Sequence[Path], point: Mapping[str, int]) -> Path:
    top = repr((block, sorted(point.items())))
    key = cache.digest({"files": cache.digest_files(tuple(files)), "top": top, "tools": toolchain.fingerprint()})
    done = cache.entry("icarus", key) / "sim.vvp"
    if done.exists():
        return done
    with cache.scratch_folder("icarus") as work:
        names = copy_sources(files, work)
        (work / "result").mkdir()
        words = ["iverilog", "-g2005", "-s", block, "-o", "result/sim.vvp"]
        words += [f"-P{block}.{name}={value}" for name, value in sorted(point.items())]
        completed = sandbox.run([*words, *names], work, limits=sandbox.Limits(seconds=120))
        if not completed.ok or not (work / "result" / "sim.vvp").exists():
            raise BuildFailed("Icarus", completed)
        return cache.publish(work / "result", "icarus", key) / "sim.vvp"


def _run_words(simulator: Simulator, executable: str, seed: int) -> list[str]:
    if simulator == "verilator":
        return [executable, "+verilator+rand+reset+2", f"+verilator+seed+{seed % (1 << 31) or 1}"]
    library = Path(cocotb_tools.config.lib_name_path("vpi", "icarus"))
    return ["vvp", "-n", "-m", str(library), executable, "-none"]


@lru_cache
def _libpython() -> str:
    path = find_libpython.find_libpython()
    if path is None:
        raise InputError("no shared libpython", "toolchain", "apt-get install libpython3.11")
    return str(path)


@lru_cache
def _entry_point() -> str:
    """What `cocotb_tools.config.pygpi_entry_point` gives, without importing cocotb here: that takes as long as a small
    simulation."""
    package = importlib.util.find_spec("cocotb")
    places = package.submodule_search_locations if package else None
    module = importlib.machinery.PathFinder.find_spec("simulator", places)
    if module is None or module.origin is None:
        return str(cocotb_tools.config.pygpi_entry_point())
    return f"{Path(module.origin).resolve()},initialize"


def run_environment(block: str, seed: int) -> dict[str, str]:
    """Environment variables of a cocotb run of `block`."""
    return {
        "COCOTB_TEST_MODULES": "driver",
        "COCOTB_TOPLEVEL": block,
        "TOPLEVEL_LANG": "verilog",
        "COCOTB_RANDOM_SEED": str(seed),
        "COCOTB_LOG_LEVEL": "ERROR",
        "COCOTB_TRUST_INERTIAL_WRITES": "1",
        "COCOTB_REWRITE_ASSERTION_FILES": "",
        "PYGPI_PYTHON_BIN": sys.executable,
        "GPI_USERS": f"{_libpython()};{_entry_point()}",
        "PYTHONPATH": ".",
        "PYTHONDONTWRITEBYTECODE": "1",
        "NO_COLOR": "1",
    }


def result(
    scenario: Scenario, line: str | None, done: sandbox.Completed, contract: Contract, simulator: Simulator
) -> ScenarioResult:
    """The verdict on the driver's `line` about `scenario`; without one the simulation ended before."""
    if line is None:
        said = "; ".join(done.output.strip().splitlines()[-3:])
        cause = done.stopped or f"exit status {done.returncode}: {said}"
        return ScenarioResult(scenario.name, simulator, False, f"the simulation ended early ({cause})")
    try:
        observed = exchange.decode(json.loads(line), contract)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ScenarioResult(scenario.name, simulator, False, "the record of the run is not one the driver writes")
    return judge(scenario, observed, simulator)


def judge(scenario: Scenario, observed: Observed, simulator: Simulator) -> ScenarioResult:
    """The verdict on what a run of `scenario` saw."""
    mismatches = tuple(scenario.judge(observed))
    transfers = sum(len(seen) for seen in observed.transfers.values())
    why = _why(scenario, observed, mismatches, transfers)
    return ScenarioResult(
        scenario.name, simulator, not why, why, mismatches, tuple(observed.violations),
        transfers, observed.cycles, observed.finished, observed,
    )  # fmt: skip


def _why(scenario: Scenario, observed: Observed, mismatches: Sequence[Mismatch], transfers: int) -> str:
    if observed.violations:
        return observed.violations[0]
    if mismatches:
        return describe(mismatches[0])
    if not observed.finished:
        counts = {name: len(observed.transfers.get(name, ())) for name in scenario.until if "." not in name}
        wires = {n: observed.wires[n.partition(".")[0]][n.partition(".")[2]] for n in scenario.until if "." in n}
        return f"not finished after {observed.cycles} cycles: saw {counts | wires} of {dict(scenario.until)}"
    if transfers < scenario.transactions:
        return f"only {transfers} transfers seen of the {scenario.transactions} the scenario compares"
    return ""


def describe(m: Mismatch) -> str:
    """One line for a mismatch."""
    when = f" in cycle {m.cycle}" if m.cycle >= 0 else ""
    return f"{m.interface} beat {m.index}{when}: expected {m.expected}, got {m.got}; input: {m.vector}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a block's bench at every bench point; 0 if all passed, 1 if not, 2 if it could not be run."""
    parser = argparse.ArgumentParser(prog="verification.simulate", description=main.__doc__)
    parser.add_argument("design", type=Path, help="design folder (design.yaml and rtl/*.v)")
    parser.add_argument("block", choices=contracts.names())
    parser.add_argument("--simulator", choices=[*SIMULATORS, "both"], default="both")
    parser.add_argument("--transactions", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    simulators = SIMULATORS if given.simulator == "both" else (given.simulator,)
    try:
        files = read_design(given.design).closure_files(given.block)
        points = contracts.load(given.block).bench_points
        passed = [_run_point(given, files, point, s) for point in points for s in simulators]
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0 if all(passed) else 1


def _run_point(
    given: argparse.Namespace, files: Sequence[Path], point: Mapping[str, int], simulator: Simulator
) -> bool:
    begin = time.monotonic()
    scenarios = bench(given.block)(point, given.seed, given.transactions)
    results = simulate(given.block, files, point, scenarios, simulator, given.seed)
    words = " ".join(f"{name}={value}" for name, value in point.items())
    print(f"{given.block} {words} on {simulator}: {time.monotonic() - begin:.1f} s")
    for r in results:
        print(f"  {'pass' if r.passed else 'FAIL'} {r.name}: {r.transfers} transfers, {r.cycles} cycles {r.why}")
    return all(r.passed for r in results)


if __name__ == "__main__":
    sys.exit(main())
