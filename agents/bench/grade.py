"""Compiles an answer with its bench and runs it, in the sandbox: the answer is generated, the suite a stranger's."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from agents.bench import Grade, Layout, Problem, Simulator, Verdict
from agents.bench.refuse import refusals
from agents.bench.text import uncommented
from hwlib.errors import plain
from verification import cache, sandbox, toolchain, verilate
from verification.build import BuildFailed
from verification.sandbox import Completed

COMPILE_LIMITS = sandbox.Limits(seconds=60, memory_bytes=2 << 30, processes=16)
RUN_LIMITS = sandbox.Limits(seconds=30, memory_bytes=2 << 30, processes=16, scratch_bytes=1 << 30, file_bytes=512 << 20)
"""30 s is what VerilogEval gives a run; RTLLM's own script gives 8, which a loaded machine may exceed."""
SHOWN = 3000
"""Characters of a tool's or bench's output that a writer is shown: the first and the last of it."""
TOOLS: Mapping[Simulator, tuple[str, ...]] = {
    "icarus": ("iverilog", "vvp"),
    "verilator": ("verilator", "g++", "perl"),
}
_MAIN = Path(__file__).with_name("main.cpp")


def grade(layout: Layout, problem: Problem, answer: str, simulator: Simulator, *, trusted: bool = False) -> Grade:
    """What the bench says of `answer` on `simulator`. `trusted`: the suite's own answer, whose text is not refused."""
    begin = time.monotonic()
    refused = [] if trusted else refusals(answer, problem)
    if refused:
        return Grade(simulator, "refused", refused[0], 0.0, "\n".join(refused))
    text = answer if trusted else uncommented(answer)
    files = {**problem.before, problem.answer_file: text, **problem.bench}
    try:
        done = _icarus(files, problem) if simulator == "icarus" else _verilator(files, problem)
    except BuildFailed as error:
        verdict = Verdict("time" if "time limit" in str(error) else "compile", plain(error.located, 200))
        return Grade(simulator, verdict.cause, verdict.detail, time.monotonic() - begin, shown(error.log))
    verdict = _verdict(layout, problem, done)
    return Grade(simulator, verdict.cause, verdict.detail, time.monotonic() - begin, shown(done.output))


def compiles(problem: Problem, answer: str, simulator: Simulator) -> Grade:
    """Whether `simulator` takes `answer` alone, without the suite's bench: what a writer may know of it when sealed."""
    begin = time.monotonic()
    refused = refusals(answer, problem)
    if refused:
        return Grade(simulator, "refused", refused[0], 0.0, "\n".join(refused))
    with cache.scratch_folder("bench") as work:
        (work / problem.answer_file).write_text(uncommented(answer))
        if simulator == "icarus":
            words, folders = ["iverilog", "-g2012", "-t", "null"], list[Path]()
            env = dict[str, str]()
        else:
            root = toolchain.verilator_root()
            # Warnings of a suite's bench or answer are left to the suite's authors: only the bench judges.
            words, folders = ["verilator", "--lint-only", "--timing", *verilate.LENIENT], [root]
            env = verilate.environment()
        done = sandbox.run(
            [*words, problem.answer_file], work, readable=folders, env=env, limits=COMPILE_LIMITS
        )  # fmt: skip
    seconds = time.monotonic() - begin
    if done.ok:
        return Grade(simulator, "passed", "it compiles", seconds)
    why = plain(BuildFailed(simulator, done).located, 200)
    return Grade(simulator, "time" if "time" in done.stopped else "compile", why, seconds, shown(done.output))


def shown(output: str) -> str:
    """As much of `output` as a writer is shown."""
    half = SHOWN // 2
    return output if len(output) <= SHOWN else f"{output[:half]}\n…\n{output[-half:]}"


def _verdict(layout: Layout, problem: Problem, done: Completed) -> Verdict:
    """A run that was stopped has no verdict, whatever it printed before."""
    if done.stopped:
        return Verdict("time" if "time" in done.stopped else "limit", f"stopped by the {done.stopped}")
    return layout.verdict(problem, done.output)


def _icarus(files: Mapping[str, str], problem: Problem) -> Completed:
    with cache.scratch_folder("bench") as work:
        _lay_out(files, problem.data, work)
        command = ["iverilog", "-g2012", "-s", problem.top, "-o", "sim.vvp", *files]
        built = sandbox.run(command, work, limits=COMPILE_LIMITS)
        if not built.ok:
            raise BuildFailed("Icarus", built)
        return sandbox.run(["vvp", "-n", "sim.vvp"], work, limits=RUN_LIMITS)


def _verilator(files: Mapping[str, str], problem: Problem) -> Completed:
    """Time is the bench's own; what is undefined begins as zero, and warnings are the bench's author's affair."""
    harness = verilate.Harness({"main.cpp": _MAIN.read_text()}, verilator=("--timing",))
    with cache.scratch_folder("bench") as work:
        _lay_out(files, {}, work)
        executable = verilate.build([work / name for name in files], problem.top, {}, harness)
    with cache.scratch_folder("bench") as work:
        _lay_out({}, problem.data, work)
        return sandbox.run([str(executable)], work, readable=(executable.parent,), limits=RUN_LIMITS)


def _lay_out(files: Mapping[str, str], data: Mapping[str, bytes], work: Path) -> None:
    for name, content in files.items():
        (work / name).write_text(content)
    for name, raw in data.items():
        (work / name).write_bytes(raw)
