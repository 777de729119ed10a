"""Builds Verilator models: the runtime and its headers compiled once, results cached by content. Parsing the headers
would be most of the time of a small model."""

from __future__ import annotations

import os
import shlex
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hwlib.contracts.schema import Port
from verification import cache, sandbox, toolchain
from verification.build import BuildFailed, copy_sources

RUNTIME = {
    "verilated": "-O3", "verilated_vpi": "-Og", "verilated_threads": "-Og", "verilated_timing": "-Og",
    "verilated_cov": "-Og",
}  # fmt: skip
"""Verilator's own parts, and how each is optimised: a model is as fast as the first."""
HEADERS, ARCHIVE = "runtime.h", "libruntime.a"
DEFINES = (
    "-DVERILATOR=1 -DVM_COVERAGE=0 -DVM_SC=0 -DVM_TIMING=0 -DVM_TRACE=0 -DVM_TRACE_FST=0 -DVM_TRACE_VCD=0 "
    "-DVM_TRACE_SAIF=0"
)
LENIENT = ("-Wno-fatal", "-Wno-lint", "-Wno-style", "--no-assert")
"""What Verilator warns of stops no build: of a design the gate `lint` judges it."""
BUILD_LIMITS = sandbox.Limits(seconds=600, memory_bytes=6 << 30)
_MAKING_RUNTIME = threading.Lock()
"""Models built at once all want the runtime first: one makes it, the others wait."""


@dataclass(frozen=True)
class Harness:
    """The C++ around a model: files by name (one defines `main`), compiler and linker words, folders they read.

    A file includes ``Vtop.h``, the model; `main`'s also defines ``double sc_time_stamp()``. With `ports`, these ports
    of the top are visible to VPI. `split`: in two translation units at once, ready sooner on an idle machine; in one it
    is less work in all.
    """

    sources: Mapping[str, str]
    link: tuple[str, ...] = ()
    readable: tuple[Path, ...] = ()
    ports: tuple[Port, ...] = ()
    optimise: str = "-Og"  # compiles a fifth faster than -O1, and benches run as fast
    verilator: tuple[str, ...] = field(default=("--x-initial", "unique", "--x-assign", "unique"))
    split: bool = True
    coverage: bool = False
    """Count executed lines and toggled bits."""


def build(files: Sequence[Path], top: str, parameters: Mapping[str, int], harness: Harness) -> Path:
    """The executable of `top` at `parameters` inside `harness`; raises BuildFailed with the compiler's words."""
    key = cache.digest(
        {
            "files": cache.digest_files(tuple(files)),
            "top": repr((top, sorted(parameters.items()))),
            "harness": repr(
                (
                    sorted(harness.sources.items()),
                    harness.link,
                    harness.ports,
                    harness.optimise,
                    harness.verilator,
                    harness.split,
                    harness.coverage,
                )
            ),
            "tools": toolchain.fingerprint(),
            "flags": repr((DEFINES, LENIENT)),
        }
    )
    done = cache.entry("verilator", key) / "sim"
    if done.exists():
        return done
    with _MAKING_RUNTIME:
        runtime = _runtime(harness.optimise)
    with cache.scratch_folder("verilator") as work:
        names = copy_sources(files, work)
        script = _script(names, top, parameters, harness, runtime)
        for name, text in (
            {"build.sh": script, "ports.vlt": _visible(top, harness.ports)} | dict(harness.sources)
        ).items():
            (work / name).write_text(text)
        _run(work, (toolchain.verilator_root(), runtime, *harness.readable))
        result = work / "result"
        result.mkdir()
        shutil.move(work / "sim", result / "sim")
        return cache.publish(result, "verilator", key) / "sim"


def environment() -> dict[str, str]:
    """What Verilator's scripts need: its root, and its own programs first on PATH."""
    root = toolchain.verilator_root()
    path = f"{root / 'bin'}:/usr/local/bin:/usr/bin:/bin"
    return {"VERILATOR_ROOT": str(root), "PATH": path}


def _script(names: Sequence[str], top: str, parameters: Mapping[str, int], harness: Harness, runtime: Path) -> str:
    words = ["verilator", "--cc", "--prefix", "Vtop", "--top-module", top, "-Mdir", "obj", *LENIENT]
    words += [*harness.verilator, *[f"-G{name}={value}" for name, value in sorted(parameters.items())]]
    words += ["--vpi", "ports.vlt"] if harness.ports else []
    words += ["--coverage-line", "--coverage-toggle"] if harness.coverage else []
    include = toolchain.verilator_root() / "include"
    defines = DEFINES.replace("VM_COVERAGE=0", "VM_COVERAGE=1") if harness.coverage else DEFINES
    flags = f"{defines} -I. -Iobj -I{include} -I{include}/vltstd"
    header = f"{include}/verilated_cov.h" if harness.coverage else f"{runtime}/{HEADERS}"
    compile_one = f"g++ -std=c++20 -w {flags} {harness.optimise} -include {header}"
    sources = "".join(f'#include "{name}"\n' for name in harness.sources)
    units = ("rest", "fast") if harness.split else ("model",)
    compiles = "".join(f"{compile_one} -c {unit}.cc -o {unit}.o & {unit}=$!\n" for unit in units)
    waits = "".join(f"wait ${unit}\n" for unit in units)
    objects = " ".join(f"{unit}.o" for unit in units)
    return f"""set -e
{shlex.join(words)} {shlex.join(names)} > verilator.log 2>&1 || {{ cat verilator.log; exit 3; }}
cd obj
includes() {{ for f; do echo "#include \\"$f\\""; done; }}
includes $(ls *.cpp | grep -v __Slow) > ../fast.cc
{{
echo '#pragma GCC push_options'
echo '#pragma GCC optimize ("O0")'
includes *__Slow*.cpp
echo '#pragma GCC pop_options'
cat << 'end'
{sources}end
}} > ../rest.cc
cd ..
cat fast.cc rest.cc > model.cc
{compiles}{waits}g++ -o sim {objects} {runtime}/{ARCHIVE} {shlex.join(harness.link)} -lpthread -latomic
"""


def _visible(top: str, ports: Sequence[Port]) -> str:
    """Only the top's ports are public: making everything public costs most of Verilator's speed."""
    lines = [f'public_flat_rw -module "{top}" -var "{port.name}"' for port in ports]
    return "`verilator_config\n" + "\n".join(lines) + "\n"


def _runtime(optimise: str) -> Path:
    """Verilator's headers precompiled, for models of that optimisation, and beside them its own objects as an archive:
    once for this toolchain."""
    root = toolchain.verilator_root()
    done = _runtime_entry(HEADERS, optimise)
    if not done.is_dir():
        objects = _archive(root)
        header = f"{optimise} -x c++-header {HEADERS} -o {HEADERS}.gch"
        _compile(root, [header], f"cp {objects}/{ARCHIVE} .", done, (objects,))
    return done


def _archive(root: Path) -> Path:
    done = _runtime_entry(ARCHIVE, "")
    if not done.is_dir():
        steps = [f"{optimise} -c {root}/include/{name}.cpp -o {name}.o" for name, optimise in RUNTIME.items()]
        _compile(root, steps, f"ar rcs {ARCHIVE} *.o\nrm *.o", done)
    return done


def _runtime_entry(part: str, optimise: str) -> Path:
    parts = {"tools": toolchain.fingerprint(), "flags": DEFINES + optimise, "parts": repr((part, RUNTIME, HEADERS))}
    return cache.entry("verilator-runtime", cache.digest(parts))


def _compile(root: Path, steps: Sequence[str], after: str, done: Path, readable: tuple[Path, ...] = ()) -> None:
    """Run the compiler's `steps` at once, then `after`; what is left becomes the entry `done`."""
    with cache.scratch_folder("runtime") as work:
        compile_one = f"g++ -std=c++20 -w {DEFINES} -I{root}/include -I{root}/include/vltstd"
        (work / HEADERS).write_text('#include "verilated.h"\n#include "verilated_vpi.h"\n')
        jobs = [f"{compile_one} {step} & j{i}=$!" for i, step in enumerate(steps)]
        waits = [f"wait $j{i}" for i in range(len(steps))]
        (work / "build.sh").write_text("\n".join(["set -e", *jobs, *waits, after, "rm build.sh"]))
        _run(work, (root, *readable))
        shutil.copytree(work, copy := work.with_name(work.name + "-done"))
        cache.publish(copy, "verilator-runtime", done.name)


def _run(work: Path, readable: tuple[Path, ...]) -> None:
    outside = [p for p in readable if not str(p).startswith(os.fspath("/usr"))]
    done = sandbox.run(["sh", "build.sh"], work, readable=outside, env=environment(), limits=BUILD_LIMITS)
    if not done.ok:
        raise BuildFailed("Verilator", done)
