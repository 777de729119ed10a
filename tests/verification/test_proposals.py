"""Proposed tests: what they are made of, and that only those are kept that pass a good block and find a fault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from hwlib import contracts, templates
from hwlib.design import Design, Manifest
from hwlib.errors import InputError
from verification import proposals
from verification.benches.scenario import Accept, Drive, Mismatch, Scenario
from verification.judgement import Candidate
from verification.proposals import Proposal
from verification.simulate import bench

BLOCK = "requantizer"
POINT = {"T": 2}
ASKED = Proposal("corners", 5, 60, 0.2, 0.3, 0)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Design:
    folder = tmp_path_factory.mktemp("reference") / "design"
    return templates.render_design(folder, Manifest(name="x", parameters={}, clock_ns=10), templates.defaults())


def weak(point: Mapping[str, int], seed: int, transactions: int) -> list[Scenario]:
    """A bench that looks at typical values only."""
    return [scenario for scenario in bench(BLOCK)(point, seed, 60) if scenario.name == "full-rate"]


def test_a_proposal_is_the_benchs_scenario_at_its_own_pace() -> None:
    made = proposals.scenario_of(BLOCK, POINT, replace(ASKED, reset_after=7))
    drive, accept = made.agents
    assert isinstance(drive, Drive)
    assert isinstance(accept, Accept)
    assert (drive.gap, accept.stall, made.reset_after) == (0.2, 0.3, ("x", 7))
    assert made.transactions >= 60
    other = proposals.scenario_of(BLOCK, POINT, replace(ASKED, seed=6)).agents[0]
    assert isinstance(other, Drive)
    assert [beat.payload for beat in other.beats] != [beat.payload for beat in drive.beats]


def test_a_pace_that_is_judged_is_kept() -> None:
    drive, accept = proposals.scenario_of(BLOCK, POINT, replace(ASKED, scenario="full-rate")).agents
    assert isinstance(drive, Drive)
    assert isinstance(accept, Accept)
    assert (drive.gap, accept.stall) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"scenario": "nothing"}, "no scenario 'nothing'"),
        ({"seed": -1}, "seed = -1"),
        ({"transactions": 0}, "transactions = 0"),
        ({"transactions": 10**9}, "use 1 to 1000"),
        ({"gap": 1.0}, "gap = 1.0"),
        ({"stall": float("nan")}, "stall = nan"),
        ({"reset_after": -2}, "reset_after = -2"),
    ],
)
def test_what_is_out_of_range_is_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        proposals.scenario_of(BLOCK, POINT, replace(ASKED, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize("block", ["array", "activation", "scratchpad", "control", "sequencer", "store_unit"])
def test_every_scenario_of_every_bench_can_be_proposed(block: str) -> None:
    point = contracts.load(block).bench_points[0]
    for name in proposals.names(block):
        made = proposals.scenario_of(block, point, replace(ASKED, scenario=name, transactions=4, reset_after=1))
        assert made.name == f"proposed {name}"


def test_one_that_finds_a_fault_the_bench_leaves_is_kept(reference: Design) -> None:
    files = reference.closure_files(BLOCK)
    grade = proposals.grade(files, BLOCK, ASKED, weak, 60, "icarus")
    assert grade.kept
    assert all(fault.startswith(f"{BLOCK}.v:") for fault in grade.found)
    same = replace(ASKED, scenario="full-rate", seed=1, transactions=1)
    grade = proposals.grade(files, BLOCK, same, weak, 60, "icarus")
    assert not grade.kept
    assert "it finds none of the" in grade.why


def test_one_that_a_good_block_does_not_pass_is_not_kept(reference: Design, monkeypatch: pytest.MonkeyPatch) -> None:
    files = reference.closure_files(BLOCK)
    wrong = replace(proposals.scenario_of(BLOCK, POINT, ASKED), judge=lambda seen: [BAD])
    monkeypatch.setattr(proposals, "scenario_of", lambda *_: wrong)
    grade = proposals.grade(files, BLOCK, ASKED, weak, 60, "icarus")
    assert "a block without faults does not pass it" in grade.why


BAD = Mismatch("y", 0, 1, "data=0x1", "data=0x0", "x data=0x1")


def test_kept_tests_are_run_on_a_block(reference: Design, tmp_path: Path) -> None:
    assert proposals.run(Candidate(reference, BLOCK), [ASKED]).passed
    folder = tmp_path / "design"
    manifest = Manifest(name="x", parameters={}, clock_ns=10)
    broken = templates.render_design(folder, manifest, templates.defaults())
    path = folder / "rtl" / f"{BLOCK}.v"
    path.write_text(path.read_text().replace("shift - 6'd1", "shift - 6'd2"))
    result = proposals.run(Candidate(broken, BLOCK), [ASKED])
    assert not result.passed
    assert result.findings[0].message.startswith("proposed corners: y beat")
    assert result.findings[0].interface == "y"
