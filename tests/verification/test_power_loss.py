"""kill -9 in the middle of any gate: the next run repeats only that gate; evidence is whole or absent."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from agents.flow import gate_context
from hwlib.design import Design, read_design
from hwlib.spec import read_spec
from tests.verification.conftest import EXPERT
from verification import cache, gates
from verification.evidence import Evidence
from verification.gates import Candidate, Context

BLOCK = "eltwise"
SPEC = EXPERT.parent / "specs" / "digits.yaml"
ROUNDS = int(os.environ.get("RTLOOM_TEST_KILLS", "1"))
"""Kills of each gate, at random moments."""
FIRST = gates.GATES[0]
RUN = """
import sys
from pathlib import Path
from tests.verification.test_power_loss import judge
judge(sys.argv[1], Path(sys.argv[2]), lambda *words: print(*words, flush=True))
"""


class Interrupted(BaseException):
    """Raised by a progress callback that has seen enough."""


def judge(gate: str, evidence: Path, progress: object) -> None:
    """The first gate and `gate`, on a block where it judges blocks, else on the whole design beside `evidence`."""
    whole = gate not in gates.BLOCK_GATES
    base = gate_context(read_spec(SPEC)) if whole else Context(transactions=30, simulators=("icarus",))
    context = replace(base, jobs=1, progress=progress)  # type: ignore[arg-type]
    design: Design = read_design(evidence.parent / "design")
    candidate = Candidate(design) if whole else Candidate(design, BLOCK)
    gates.verdict(candidate, context, list(dict.fromkeys([FIRST, gate])), Evidence(evidence))


def fresh_design(beside: Path, word: str) -> None:
    """A copy of the expert beside the evidence, its block with a comment that no tool has seen: what tools said of
    other text is kept, and a gate could end before it is killed."""
    folder = beside.parent / "design"
    shutil.copytree(EXPERT, folder, dirs_exist_ok=True)
    text = (EXPERT / "rtl" / f"{BLOCK}.v").read_text()
    (folder / "rtl" / f"{BLOCK}.v").write_text(f"{text}// {word}\n")


def kill_within(gate: str, evidence: Path, pause_s: float) -> None:
    """Judge in a process of its own, and kill -9 it and its group `pause_s` after `gate` began."""
    child = subprocess.Popen(
        [sys.executable, "-c", RUN, gate, str(evidence)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert child.stdout is not None
    for line in child.stdout:
        if line.split()[0] == gate and line.split()[2] == "running":
            break
    else:
        pytest.fail("the gate never began")
    time.sleep(pause_s)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()


def states_until(gate: str, evidence: Path) -> list[tuple[str, str]]:
    """Gate and state of what the next run does, until `gate` runs on something not judged before."""
    seen: list[tuple[str, str]] = []

    def told(name: str, scope: str, state: str) -> None:
        seen.append((name, state))
        if (name, state) == (gate, "running"):
            raise Interrupted

    with pytest.raises(Interrupted):
        judge(gate, evidence, told)
    return seen


def processes_in(folder: Path) -> list[str]:
    """Processes whose arguments name `folder`; a killed one may take a moment to go."""
    for _ in range(50):
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = Path("/proc", name, "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(folder) in words and int(name) != os.getpid():
                found.append(name)
        if not found:
            return []
        time.sleep(0.1)
    return found


@pytest.mark.parametrize(
    "gate",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name not in ("policy", "lint", "simulate")))
        for name in gates.GATES
    ],
)
def test_only_the_gate_that_was_killed_runs_again(gate: str, tmp_path: Path) -> None:
    dice = random.Random(gate)
    evidence = tmp_path / "evidence"
    for turn in range(ROUNDS):
        fresh_design(evidence, f"{time.time_ns()} {turn}")
        kill_within(gate, evidence, dice.uniform(0, 0.25))
        store = Evidence(evidence)
        kept = list(evidence.rglob("*.json"))
        assert all(store.find(path.stem) is not None for path in kept), "half-written evidence"
        seen = states_until(gate, evidence)
        before = [state for name, state in seen if name != gate]
        assert set(before) <= {"reused"}, seen


def test_a_killed_run_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTLOOM_CACHE", str(tmp_path / "cache"))
    fresh_design(tmp_path / "evidence", "")
    kill_within("policy", tmp_path / "evidence", 0.2)
    assert processes_in(tmp_path / "cache") == []


def test_the_next_run_clears_what_a_killed_one_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTLOOM_CACHE", str(tmp_path / "cache"))
    with cache.scratch_folder("live") as live:
        left = live.parent / "policy-left"
        fresh = live.parent / "policy-fresh"
        for folder in (left, fresh):
            folder.mkdir()
            (folder / "text").write_text("x")
        old = time.time() - 2 * cache.STALE_S
        os.utime(left, (old, old))
        os.utime(live, (old, old))
        cache.clear_stale.cache_clear()
        with cache.scratch_folder("next"):
            assert sorted(path.name for path in (left, fresh, live) if path.exists()) == sorted([fresh.name, live.name])
