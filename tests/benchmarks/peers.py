"""Other people's Verilog through the gates' readers: what is refused is refused by a rule; nothing crashes or hangs.

``python -m tests.benchmarks.peers FOLDER`` judges every ``.v`` file below a folder, one at a time, in the sandbox: the
policy gate's reading (what a block's text may say; not whose ports it has) and Verilator's lint. Counts by reason.
Exit 1 if a reader crashed or hung or a refusal maps to no rule, 2 if there was nothing to read.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hwlib.errors import plain
from verification import cache, sandbox, toolchain, verilate
from verification.gates import policy

SECONDS = 60
LIMITS = sandbox.Limits(seconds=SECONDS, memory_bytes=2 << 30, file_bytes=64 << 20, processes=8)
RULES = (
    ("compiler directive", "compiler directives"), ("steers a tool", "comments that steer tools"),
    ("initial block", "initial blocks"), ("initial value", "registers with an initial value"), ("delay", "delays"),
    ("attribute", "attributes"), ("hierarchical", "hierarchical references"), ("posedge clk", "other clocks or resets"),
    ("X and Z", "X and Z literals"), ("comparison with X", "comparisons with X"), ("casex", "casex"),
    ("? only", "? outside casez"), ("system functions", "system tasks and functions"), ("a string", "strings"),
    ("printable ASCII", "characters outside printable ASCII"), ("carriage return", "carriage returns"),
    ("escaped identifier", "escaped identifiers"), ("one driver", "nets of other kinds"),
    ("lets time pass", "always without @"),
    ("event control inside", "event controls inside blocks"), ("is not allowed here", "other syntax"),
    ("syntax error", "syntax errors"), ("pyverilog", "not read alike by pyverilog"), ("bytes; a file", "file size"),
    ("a line of", "line length"), ("not declared before", "functions that may call themselves"),
    ("skipped by a parser", "text a parser skips"), ("contains itself", "modules within themselves"),
)  # fmt: skip
"""Words of a finding, and the rule it maps to."""
UNEXPLAINED = "unexplained"


@dataclass
class Tally:
    """Files read, and how they fared: by policy's rules (a file counts once under each it breaks), and by lint."""

    files: int = 0
    policy_passed: int = 0
    policy: Counter[str] = field(default_factory=Counter)
    lint_passed: int = 0
    lint: Counter[str] = field(default_factory=Counter)
    crashes: list[str] = field(default_factory=list)
    hangs: list[str] = field(default_factory=list)
    most_seconds: float = 0.0
    peak_mib: float = 0.0

    def see(self, path: Path, done: sandbox.Completed) -> None:
        """What a run cost, and whether it ended by itself."""
        self.most_seconds = max(self.most_seconds, done.seconds)
        self.peak_mib = max(self.peak_mib, done.peak_bytes / 2**20)
        if "time limit" in done.stopped:
            self.hangs.append(path.name)
        elif done.stopped or done.returncode not in (0, 1):
            self.crashes.append(f"{path.name}: {done.stopped or done.returncode}")


def rule(message: str) -> str:
    """The rule a finding of the policy gate maps to."""
    return next((name for words, name in RULES if words in message), UNEXPLAINED)


def read(path: Path) -> tuple[sandbox.Completed, list[str]]:
    """The policy gate's reading of one file: how it ended and what it found."""
    if path.stat().st_size > policy.FILE_BYTES:
        return sandbox.Completed(0, "", 0.0), [f"{path.stat().st_size} bytes; a file has at most {policy.FILE_BYTES}"]
    with cache.scratch_folder("peers") as work:
        shutil.copyfile(path, work / "peer.v")
        shutil.copyfile(Path(policy.__file__).with_name("policy_reader.py"), work / "reader.py")
        job = {"files": ["peer.v"], "own": ["peer.v"], "top": "", "points": []}
        (work / "job.json").write_text(json.dumps(job))
        done = sandbox.run([sys.executable, "-B", "reader.py"], work, limits=LIMITS)
        text = sandbox.result_text(work / "facts.json") if done.ok else None
    return done, [finding["message"] for finding in json.loads(text)["findings"]] if text else []


def lint(path: Path) -> sandbox.Completed:
    """Verilator's word on one file alone."""
    root = toolchain.verilator_root()
    name = path.name if re.fullmatch(r"\w+\.v", path.name) else "peer.v"
    words = ["verilator", "--lint-only", "-Wall", "--timing", "--language", "1364-2005", name]
    with cache.scratch_folder("peers") as work:
        shutil.copyfile(path, work / name)
        return sandbox.run(words, work, readable=[root], env=verilate.environment(), limits=LIMITS)


def lint_reasons(done: sandbox.Completed) -> set[str]:
    """Verilator's codes; an error without one by whether a file is missing."""
    if done.ok:
        return set()
    found = set(re.findall(r"^%(?:Warning|Error)-(\w+):", done.output, re.MULTILINE))
    for text in re.findall(r"^%Error: (?!Exiting)(.*)$", done.output, re.MULTILINE):
        if re.search("Cannot find|Can't find|not defined", text):
            found.add("needs another file")
        elif not text.startswith("Internal"):
            found.add("syntax, often for want of an included file")
    return found or {UNEXPLAINED}


def measure(paths: Iterable[Path]) -> Tally:
    """Read and lint every file, two at a time."""
    tally = Tally()
    with ThreadPoolExecutor(2) as pool:
        for path, (done, found), linted in pool.map(lambda path: (path, read(path), lint(path)), paths):
            tally.files += 1
            tally.see(path, done)
            tally.policy.update({rule(message) for message in found})
            tally.policy_passed += done.ok and not found
            tally.see(path, linted)
            tally.lint_passed += linted.ok
            tally.lint.update(lint_reasons(linted))
    return tally


def show(folder: Path, tally: Tally, seconds: float) -> None:
    print(f"{plain(str(folder))}: {tally.files} files in {seconds:.0f} s, at most {tally.most_seconds:.1f} s and "
          f"{tally.peak_mib:.0f} MiB a run")  # fmt: skip
    print(f"crashes {len(tally.crashes)}, hangs {len(tally.hangs)}")
    for name in (*tally.crashes, *tally.hangs):
        print(f"  {plain(name)}")
    print(f"policy: {tally.policy_passed} pass; files by rule broken:")
    for name, count in tally.policy.most_common():
        print(f"  {count:5} {name}")
    print(f"lint: {tally.lint_passed} pass; files by Verilator's reason:")
    for name, count in tally.lint.most_common():
        print(f"  {count:5} {name}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peers", description=__doc__)
    parser.add_argument("folder", type=Path, help="every .v file below it is read")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    paths = sorted(path for path in given.folder.rglob("*.v") if path.is_file() and not path.is_symlink())
    if not paths:
        print(f"peers: no .v files below {plain(str(given.folder))}", file=sys.stderr)
        return 2
    begin = time.monotonic()
    tally = measure(paths)
    seconds = time.monotonic() - begin
    if given.json:
        print(
            json.dumps(
                {"schema": "rtloom/benchmark-peers/1", "folder": str(given.folder), "seconds": seconds} | asdict(tally)
            )
        )
    else:
        show(given.folder, tally, seconds)
    return 1 if tally.crashes or tally.hangs or tally.policy[UNEXPLAINED] or tally.lint[UNEXPLAINED] else 0


if __name__ == "__main__":
    sys.exit(main())
