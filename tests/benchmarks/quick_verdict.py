"""An edit of the array to a quick verdict, against plain cocotb on Verilator with the same bench, in the same minute.

The array of 8x8 and of 16x16 MACs (D = 1), its text changed so that nothing was seen before. Quick: policy, lint and
the bench on one simulator, each in the sandbox (`rtloom verify --quick`), as a command, start of Python included.
Plain: cocotb's runner builds and runs the same scenarios, nothing prepared, nothing checked. Bars: at least 7 and 5
times as fast; the same command again, nothing changed, under 0.2 s.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from hwlib import contracts
from hwlib.design import EXPERT, Design, block_parameters, read_design
from tests.benchmarks.bars import Bar, at_least, at_most, figure, main
from verification import toolchain
from verification.benches import exchange
from verification.judgement import QUICK_TRANSACTIONS
from verification.simulate import bench, run_environment
from verification.verilate import environment

BLOCK = "array"
FACTORS = {8: 7.0, 16: 5.0}
AGAIN_S = 0.2


def edited(folder: Path, size: int) -> Design:
    """The expert at `size`, with a comment in the array's text that was never there before."""
    shutil.copytree(EXPERT, folder, dirs_exist_ok=True)
    manifest = yaml.safe_load((folder / "design.yaml").read_text())
    manifest["parameters"] |= {"T": size, "D": 1, "WORDS": 4096}
    (folder / "design.yaml").write_text(yaml.safe_dump(manifest))
    path = folder / "rtl" / f"{BLOCK}.v"
    path.write_text(path.read_text() + f"// {secrets.token_hex(8)}\n")
    return read_design(folder)


def quick(design: Design) -> float:
    """Seconds of `rtloom verify --quick`; raises if the block is refused."""
    command = ["rtloom", "verify", str(design.folder), "--block", BLOCK, "--quick"]
    start = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - start


PLAIN = """
import sys, json
from cocotb_tools.runner import get_runner
job = json.load(open("job.json"))
runner = get_runner("verilator")
runner.build(sources=job["sources"], hdl_toplevel=job["top"], parameters=job["parameters"], build_dir="build",
             build_args=["-Wno-fatal"], timescale=("1ns", "1ps"))
runner.test(hdl_toplevel=job["top"], test_module="driver", build_dir="build", test_dir=".")
"""


def plain(design: Design, work: Path) -> float:
    """Seconds of the same scenarios by cocotb's own runner."""
    point = block_parameters(BLOCK, design.manifest.parameters)
    scenarios = bench(BLOCK)(point, 1, QUICK_TRANSACTIONS)
    (work / "stimulus.json").write_text(json.dumps(exchange.encode(contracts.load(BLOCK), point, scenarios)))
    shutil.copy(Path(exchange.__file__).with_name("driver.py"), work)
    sources = [str(path) for path in design.closure_files(BLOCK)]
    (work / "job.json").write_text(json.dumps({"sources": sources, "top": BLOCK, "parameters": point}))
    toolchain.require("verilator", "g++", "perl", "make", "cocotb")
    tools = environment()
    variables = os.environ | {
        "VERILATOR_ROOT": tools["VERILATOR_ROOT"],
        "PATH": f"{tools['VERILATOR_ROOT']}/bin:{os.environ['PATH']}",
        "MAKEFLAGS": "-j2 CFG_CXXFLAGS_PCH_I=-include",
        "COCOTB_TRUST_INERTIAL_WRITES": run_environment(BLOCK, 1)["COCOTB_TRUST_INERTIAL_WRITES"],
    }
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", PLAIN], cwd=work, env=variables, capture_output=True, text=True)
    seconds = time.monotonic() - start
    if done.returncode or not (work / "observations.jsonl").exists():
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
    return seconds


def measure_size(size: int, factor: float) -> Iterator[Bar]:
    """Both, one after the other."""
    name = f"array {size}x{size}"
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        design = edited(Path(first), size)
        fresh, again = quick(design), min(quick(design) for _ in range(5))
        slow = plain(design, Path(second))
    yield figure(name, "plain cocotb and Verilator, s", slow)
    yield figure(name, "edit to quick verdict, s", fresh)
    yield at_least(name, "times as fast", slow / fresh, factor)
    yield at_most(name, "again, nothing changed, s", again, AGAIN_S)


def measure(_: Design) -> Iterable[Bar]:
    """Both sizes; of the expert, whatever design is named."""
    return [bar for size, factor in FACTORS.items() for bar in measure_size(size, factor)]


if __name__ == "__main__":
    sys.exit(main("quick_verdict", __doc__ or "", measure))
