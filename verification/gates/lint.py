"""lint: Verilator finds nothing to warn about; Yosys sees no latch, combinational loop or second driver."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping

from verification import cache, sandbox, toolchain, verilate, yosys
from verification.build import copy_sources
from verification.judgement import Candidate, Context, Finding, GateResult

NAME = "lint"
VERSION = 5
LIMITS = sandbox.Limits(seconds=180, memory_bytes=4 << 30)

_VERILATOR = re.compile(
    r"^%(?P<kind>Warning|Error)(?:-(?P<code>\w+))?: (?P<file>[\w.]+):(?P<line>\d+):\d+: (?P<text>.*)$", re.MULTILINE
)
_LATCH = re.compile(
    r'attribute \\src "(?P<file>[\w.]+):(?P<line>\d+)[^"]*"\n(?: *attribute .*\n)* *cell \$\w*latch\w* (?P<name>\S+)'
)
_CHECK = re.compile(
    r"^Warning: (?P<text>(?:found logic loop|multiple conflicting drivers|Wire \S+ is used but has no driver).*)$",
    re.MULTILINE,
)
_SOURCE = re.compile(r"(?P<file>\w+\.v):(?P<line>\d+)")


def settings(candidate: Candidate, context: Context) -> str:
    """Only the files and the points decide."""
    return f"{candidate.points()} {'quick' if context.quick else ''}"


def run(candidate: Candidate, context: Context) -> GateResult:
    """Lint at every point. Only what lies in the candidate's own files counts; other blocks answer for theirs."""
    begin = time.monotonic()
    toolchain.require("verilator", "yosys")
    findings: dict[Finding, None] = dict.fromkeys(candidate.missing())
    checks = [] if findings else _checks_at(candidate, context)
    for check, point in checks:
        if check is verilator or not findings:
            findings |= dict.fromkeys(check(candidate, point))
    return GateResult(
        NAME,
        candidate.scope,
        not findings,
        tuple(findings),
        {"points": len({repr(point) for _, point in checks})},
        seconds=time.monotonic() - begin,
    )


_Check = Callable[[Candidate, Mapping[str, int]], list[Finding]]


def _checks_at(candidate: Candidate, context: Context) -> list[tuple[_Check, dict[str, int]]]:
    """What is run, where: both tools at every point; Yosys, slow on large arrays, at the smallest one if quick, that of
    the least product of parameters."""
    if context.quick and not candidate.whole:
        return [(verilator, candidate.own_point()), (_yosys, candidate.smallest_point())]
    points = candidate.points()[:1] if candidate.whole else candidate.points()
    return [(check, point) for point in points for check in (verilator, _yosys)]


def verilator(candidate: Candidate, point: Mapping[str, int]) -> list[Finding]:
    """What Verilator, all warnings on, finds in the candidate's own files at the parameters `point`."""
    said = _said("verilator", candidate, point, _run_verilator)
    if isinstance(said, Finding):
        return [said]
    own = {path.name for path in candidate.own_files()}
    return [
        Finding(f"Verilator {m['code'] or m['kind']}: {m['text']}", m["file"], int(m["line"]), candidate.scope)
        for m in _VERILATOR.finditer(said)
        if m["file"] in own or m["kind"] == "Error"
    ]


def _run_verilator(candidate: Candidate, point: Mapping[str, int]) -> str | Finding:
    with cache.scratch_folder("lint") as work:
        names = copy_sources(candidate.files(), work)
        words = ["verilator", "--lint-only", "-Wall", "--timing", "--language", "1364-2005"]
        words += ["--top-module", candidate.top]
        words += [f"-G{name}={value}" for name, value in sorted(point.items())]
        root = toolchain.verilator_root()
        done = sandbox.run([*words, *names], work, readable=[root], env=verilate.environment(), limits=LIMITS)
    if done.stopped or (done.returncode != 0 and not _VERILATOR.search(done.output)):
        last = done.stopped or (done.output.strip().splitlines() or ["no output"])[-1]
        return Finding(f"Verilator failed: {last}", block=candidate.scope)
    return done.output


def _yosys(candidate: Candidate, point: Mapping[str, int]) -> list[Finding]:
    said = _said("yosys", candidate, point, _run_yosys)
    return [said] if isinstance(said, Finding) else [*_latches(said, candidate), *_checks(said, candidate)]


def _run_yosys(candidate: Candidate, point: Mapping[str, int]) -> str | Finding:
    """What Yosys prints: the latches that something in their module uses, then loops and drivers of all modules as one.
    Of all as one what is unused would take longer to leave out than the loops to find."""
    with cache.scratch_folder("check") as work:
        script = f"""{yosys.reading(candidate.files(), candidate.top, point, work)}proc
design -push-copy
opt_clean
dump -o latches.il t:$dlatch t:$adlatch t:$dlatchsr
design -pop
flatten -noscopeinfo
check
"""
        try:
            done = yosys.run(script, work, LIMITS)
        except yosys.YosysFailed as error:
            return Finding(error.what, error.file, error.line, candidate.scope)
        log, latches = sandbox.result_text(work / "yosys.log"), sandbox.result_text(work / "latches.il")
    if log is None or latches is None:
        return Finding("Yosys left no report that can be read", block=candidate.scope)
    return f"{log}\n{done.output}\n{latches}"


def _said(
    tool: str,
    candidate: Candidate,
    point: Mapping[str, int],
    run_tool: Callable[[Candidate, Mapping[str, int]], str | Finding],
) -> str | Finding:
    """What `tool` prints about these files at `point`, or why it does not: a whole design and its top ask the same."""
    about = repr((VERSION, tool, candidate.top, sorted(point.items()), toolchain.fingerprint()))
    key = cache.digest({"about": about, "files": cache.digest_files(candidate.files())})
    done = cache.entry("lint", key)
    if not done.is_dir():
        said = run_tool(candidate, point)
        if isinstance(said, Finding):
            return said
        with cache.scratch_folder("said") as work:
            (work / "result").mkdir()
            (work / "result" / "said").write_text(said)
            done = cache.publish(work / "result", "lint", key)
    return (done / "said").read_text()


def _latches(dump: str, candidate: Candidate) -> list[Finding]:
    return [
        Finding(f"a latch: {m['name']} is not assigned on every path", m["file"], int(m["line"]), candidate.scope)
        for m in _LATCH.finditer(dump)
    ]


def _checks(log: str, candidate: Candidate) -> list[Finding]:
    findings: dict[Finding, None] = {}
    for match in _CHECK.finditer(log):
        source = _SOURCE.search(log, match.start())
        near = source is not None and source.start() - match.start() < 600
        file, line = (source["file"], int(source["line"])) if source and near else ("", 0)
        findings[Finding(f"Yosys check: {match['text'].rstrip(':')}", file, line, candidate.scope)] = None
    return list(findings)
