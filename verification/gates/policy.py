"""policy: the text keeps to the contract and to a small, tool-independent part of Verilog-2005.

`policy_reader.py` reads the files in the sandbox, with limits: constant expressions can be hostile. It reports what it
sees; what is allowed is decided here.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from hwlib import contracts
from hwlib.design import PLATFORM, platform_files
from hwlib.errors import InputError
from verification import cache, sandbox, toolchain
from verification.build import copy_sources
from verification.judgement import Candidate, Context, Finding, GateResult

NAME = "policy"
VERSION = 4
FILE_BYTES = 200_000
BLOCK_BYTES = 400_000
LIMITS = sandbox.Limits(seconds=120, memory_bytes=2 << 30, file_bytes=64 << 20, processes=8)
_READER = Path(__file__).with_name("policy_reader.py")


def settings(candidate: Candidate, context: Context) -> str:
    """Only the reader's text, the contracts and the points decide."""
    if candidate.whole:
        return ""
    return f"{_READER.read_text()} {contracts.load(candidate.scope).model_dump_json()} {candidate.points()}"


def run(candidate: Candidate, context: Context) -> GateResult:
    """Judge the text of a block's own files; of a design only that its files are those of the blocks."""
    begin = time.monotonic()
    toolchain.require("pyslang", "pyverilog")
    findings = _sizes(candidate) or _names(candidate)
    facts: dict[str, Any] = {}
    if not findings and not candidate.whole:
        facts, refused = _read(candidate)
        findings = refused or _judge(candidate, facts)
    metrics = {"files": len(candidate.own_files()), "lines": facts.get("lines", 0)}
    return GateResult(
        NAME,
        candidate.scope,
        not findings,
        tuple(findings),
        metrics,
        seconds=time.monotonic() - begin,
    )


def _sizes(candidate: Candidate) -> list[Finding]:
    sizes = {path.name: path.stat().st_size for path in candidate.own_files()}
    large = [
        Finding(f"{n} bytes; a file has at most {FILE_BYTES}", name) for name, n in sizes.items() if n > FILE_BYTES
    ]
    total, bound = sum(sizes.values()), BLOCK_BYTES * (len(contracts.names()) if candidate.whole else 1)
    return large or ([Finding(f"{total} bytes of Verilog; at most {bound}")] if total > bound else [])


def _names(candidate: Candidate) -> list[Finding]:
    """Every file belongs to a block, and none is a platform cell's."""
    findings = []
    for path in candidate.own_files():
        if (PLATFORM / path.name).exists():
            findings.append(Finding("this cell is the platform's and cannot be redefined", path.name, 1))
        elif not any(path.stem == block or path.stem.startswith(f"{block}_") for block in contracts.names()):
            findings.append(Finding("the file belongs to no block; name it BLOCK.v or BLOCK_*.v", path.name, 1))
    return [*findings, *candidate.missing()]


def _read(candidate: Candidate) -> tuple[dict[str, Any], list[Finding]]:
    """What the reader saw, or why it could not read."""
    with cache.scratch_folder("policy") as work:
        names = copy_sources(candidate.files(), work)
        shutil.copyfile(_READER, work / "reader.py")
        shutil.copyfile(_parser_tables(), work / "parsetab.py")
        own = [path.name for path in candidate.own_files()]
        job = {"files": names, "own": own, "top": candidate.scope, "points": candidate.points()}
        (work / "job.json").write_text(json.dumps(job))
        done = sandbox.run([sys.executable, "-B", "reader.py"], work, limits=LIMITS)
        text = sandbox.result_text(work / "facts.json") if done.ok else None
    if text is None:
        return {}, [_stopped(candidate, done)]
    facts: dict[str, Any] = json.loads(text)
    return facts, []


def _parser_tables() -> Path:
    """pyverilog's parser tables, made once for this toolchain, away from what is judged."""
    key = cache.digest({"tools": toolchain.fingerprint()})[:32]
    done = cache.entry("parser", key) / "parsetab.py"
    if not done.exists():
        with cache.scratch_folder("parser") as work:
            made = work / "made"
            made.mkdir()
            words = "from pyverilog.vparser.parser import VerilogParser as V; V(outputdir='made', debug=False)"
            ran = sandbox.run([sys.executable, "-B", "-c", words], work, limits=LIMITS)
            if not ran.ok or not (made / "parsetab.py").exists():
                raise InputError(f"pyverilog's parser cannot be made: {ran.output[-200:]}", "toolchain", "reinstall it")
            return cache.publish(made, "parser", key) / "parsetab.py"
    return done


def _stopped(candidate: Candidate, done: sandbox.Completed) -> Finding:
    """What the reader was at when it was stopped, or died."""
    lines = done.output.strip().splitlines()
    steps = [line[2:] for line in lines if line.startswith("> ")]
    doing = steps[-1] if steps else "reading the files"
    named = [word for word in doing.split() if word.endswith(".v")]
    last = lines[-1] if lines and not lines[-1].startswith("> ") else f"exit status {done.returncode}"
    cause = f"stopped by the {done.stopped}" if done.stopped else f"failed: {last}"
    return Finding(f"{doing} {cause}", "".join(named[:1]), 1 if named else 0, candidate.scope)


def _judge(candidate: Candidate, facts: dict[str, Any]) -> list[Finding]:
    findings = [Finding(f["message"], f["file"], f["line"]) for f in facts["findings"]]
    findings = list(dict.fromkeys(findings)) + _modules(facts)
    return findings or _interfaces(candidate, facts)


def _modules(facts: dict[str, Any]) -> list[Finding]:
    """One module a file, named as the file; instances of modules that are there."""
    findings = []
    known = {Path(name).stem for name in facts["files"]} | {path.stem for path in platform_files()}
    by_file: dict[str, list[dict[str, Any]]] = {name: [] for name in facts["own"]}
    for module in facts["modules"]:
        by_file[module["file"]].append(module)
    for name, modules in by_file.items():
        if [m["name"] for m in modules] != [Path(name).stem]:
            found = ", ".join(m["name"] for m in modules) or "none"
            line = next((m["line"] for m in modules if m["name"] != Path(name).stem), 1)
            findings.append(Finding(f"one module a file, named as the file; found {found}", name, line))
        for instance in (i for m in modules for i in m["instances"] if i["module"] not in known):
            what = f"'{instance['module']}' is no module of this block, its contract or the platform"
            findings.append(Finding(what, name, instance["line"]))
    return findings


def _interfaces(candidate: Candidate, facts: dict[str, Any]) -> list[Finding]:
    """Parameters and ports are the contract's, at every point; each fault is named once."""
    start = next(m["line"] for m in facts["modules"] if m["name"] == candidate.scope)
    found: dict[str, Finding] = {}
    for point, seen in zip(candidate.points(), facts["elaborated"], strict=True):
        found = _interface(candidate.scope, point, seen, start) | found
    return list(found.values())


def _interface(top: str, point: dict[str, int], seen: dict[str, Any], start: int) -> dict[str, Finding]:
    """Faults by port; `start` is the module's line, for what is missing."""
    contract, file = contracts.load(top), f"{top}.v"
    names, given = sorted(contract.parameters), sorted(seen["parameters"])
    if names != given:
        return {"": Finding("module parameters", file, start, top, expected=", ".join(names), got=", ".join(given))}
    want = {p.name: (p.direction, p.width) for p in contract.ports(point)}
    have = {name: (direction, width) for name, direction, width in seen["ports"]}
    at = ", ".join(f"{name}={value}" for name, value in point.items())
    found = {}
    for name in sorted(want.keys() | have.keys()):
        if want.get(name) != have.get(name):
            expected, got = (_port(side.get(name)) for side in (want, have))
            line = seen["lines"].get(name, start)
            found[name] = Finding(f"port {name} at {at}", file, line, top, expected=expected, got=got)
    return found


def _port(port: tuple[str, int] | None) -> str:
    return "none" if port is None else f"{port[0]} of {port[1]} bits"
