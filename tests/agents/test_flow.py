"""The judge of campaigns: what it says can be pasted back, and nothing it kept outlives what it followed from."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agents import flow, workload
from agents.cli import output
from agents.flow import FlowEvaluator, spec_words
from agents.kept import sources
from agents.records import GateOutcome
from hwlib.design import EXPERT, Design, read_design
from hwlib.spec import MemorySpec, Spec, Workload, read_spec
from hwlib.tech import technology
from tests.verification.conftest import expert_text
from verification import gates
from verification.gates import Candidate, Context, integrate

SPEC = Spec(name="other", workload=Workload(model="encoder-block-16-32-2-64"), memory=MemorySpec(latency_cycles=7))
ROOT = output.ROOT


@pytest.fixture
def expert() -> Design:
    return read_design(EXPERT)


@pytest.fixture
def flawed(tmp_path: Path) -> Design:
    """A copy of the expert that lint refuses, but only from 8 lanes on."""
    shutil.copytree(EXPERT, tmp_path / "design")
    above = "    generate\n        if (T > 4) begin : above\n            wire idle = x_valid;\n        end\n"
    text = expert_text("eltwise.v", ("\nendmodule", f"\n{above}    endgenerate\nendmodule"))
    (tmp_path / "design" / "rtl" / "eltwise.v").write_text(text)
    return read_design(tmp_path / "design")


def pasted(command: str, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    words = shlex.split(command)
    assert words[0] == "rtloom"
    call = [sys.executable, "-c", "from agents.cli import main; main()", *words[1:], *more]
    env = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "1000"}
    return subprocess.run(call, capture_output=True, text=True, cwd=folder, env=env, timeout=300)


def test_the_command_shown_gives_the_same_verdict_again(flawed: Design, tmp_path: Path) -> None:
    """With another shape by --set and another spec: without either the verdict would be another."""
    spec = spec_words(SPEC)
    asked = f"rtloom verify {flawed.folder} --gate lint --block eltwise --set T=8 --set D=1 {shlex.join(spec)}"
    first = pasted(asked, tmp_path)
    assert first.returncode == 1, first.stderr
    again = next(line for line in first.stdout.splitlines() if line.startswith("Again: ")).removeprefix("Again: ")
    assert shlex.join(spec) in again
    second = pasted(again, tmp_path)
    assert second.returncode == 1, second.stderr
    assert "idle" in second.stdout
    assert pasted(again.replace("T=8 --set D=1", "T=4 --set D=4"), tmp_path).returncode == 0


def test_a_campaign_names_the_spec_it_judged_for(expert: Design, tmp_path: Path) -> None:
    outcome: GateOutcome = FlowEvaluator(SPEC).check_block(expert, "eltwise", "policy")
    words = shlex.split(outcome.replay)
    assert read_spec(Path(words[words.index("--spec") + 1])) == SPEC
    assert pasted(outcome.replay, tmp_path, "--json").returncode == 0


# ---- what is kept


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch, expert: Design) -> Callable[[], dict[str, dict[str, str]]]:
    """The keys of a block's cost, a measurement and modelled cycles, found anew and nothing computed."""
    found: dict[str, dict[str, str]] = {}

    def note(kind: str, key: dict[str, str], compute: object, shape: object) -> None:
        found[kind] = dict(key)

    for module in (flow, workload):
        monkeypatch.setattr(module, "kept", note)

    def collect() -> dict[str, dict[str, str]]:
        for cached in (sources, integrate.harness_digest):
            cached.cache_clear()
        judge = FlowEvaluator(SPEC)
        judge.block_report(expert, "eltwise")
        judge.measure(expert)
        judge.model_cycles(expert.manifest)
        return {kind: dict(key) for kind, key in found.items()}

    return collect


ALL = {"block-report", "measured", "cycles"}
CHANGES = {
    "verification/system/harness.cpp": {"measured"},
    "verification/system/simulation.py": {"measured"},
    "verification/timing.py": {"block-report", "measured"},
    "hwlib/isa.py": {"measured", "cycles"},
    "hwlib/numerics/eltwise.py": {"measured", "cycles"},
    "mfm/schedule/schedule.py": {"measured", "cycles"},
}
"""A changed file, and what must be computed anew for it."""


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_file_makes_what_followed_from_it_new(
    name: str, parts: Callable[[], dict[str, dict[str, str]]], monkeypatch: pytest.MonkeyPatch, expert: Design
) -> None:
    gate = gates.gate("integrate")
    context = Context(workload=workload.GoldenWorkload(SPEC))
    before, key = parts(), gate.settings(Candidate(expert), context)
    read = Path.read_bytes
    monkeypatch.setattr(
        Path, "read_bytes", lambda path: read(path) + (b" " if path == (ROOT / name).resolve() else b"")
    )
    after = parts()
    assert {kind for kind in ALL if before[kind] != after[kind]} == CHANGES[name]
    if name != "verification/timing.py":
        assert gate.settings(Candidate(expert), context) != key


def test_a_changed_technology_makes_costs_new(
    parts: Callable[[], dict[str, dict[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = parts()
    monkeypatch.setattr(flow, "technology", lambda name: replace(technology(name), sram_access_ns=9.0))
    after = parts()
    assert {kind for kind in ALL if before[kind] != after[kind]} == {"block-report", "measured"}


def test_another_model_in_the_same_file_is_another_workload(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    keys = set()
    for text in ("one", "two"):
        path.write_text(text)
        keys.add(workload.GoldenWorkload(Spec(name="s", workload=Workload(model=str(path)))).key)
    assert len(keys) == 2
