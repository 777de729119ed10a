"""kill -9 at random moments: resuming ends with the same revisions, tree and booked evaluations as an unbroken run."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from agents import api
from agents.campaign import names
from agents.progress import Progress
from agents.records import Budget, CampaignResult
from hwlib.spec import Spec, read_spec
from tests.agents import kills
from tests.agents.kill import moments, run_and_kill
from tests.agents.stand_in import SPEC, ToyEvaluator, toy_designer

DIGITS = Path(__file__).parent.parent.parent / "hwlib" / "specs" / "digits.yaml"


def toy_run(progress: Progress) -> CampaignResult:
    """Start or resume the toy campaign, with a judge slow enough to be killed in the middle of things."""
    make = partial(ToyEvaluator, delay_s=0.002)
    if "toy" in names():
        return api.resume_campaign("toy", progress=progress, evaluators=make, designers=toy_designer)
    budget = Budget(rounds=3)
    return api.start_campaign(SPEC, budget=budget, seed=5, progress=progress, evaluators=make, designers=toy_designer)


def outcome(result: CampaignResult) -> tuple[object, ...]:
    """What must not depend on interruptions."""
    assert result.accepted is not None
    found = [(r.revision, r.tree_hash, r.state, r.figures) for r in api.revisions(result.status.name)]
    return result.accepted.revision, result.accepted.tree_hash, result.status.spent.evaluations, result.why, found


@pytest.mark.parametrize("seed", [1, 2])
def test_ten_kills_change_nothing(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTLOOM_HOME", str(tmp_path / "unbroken"))
    unbroken = outcome(toy_run(lambda event: None))
    monkeypatch.setenv("RTLOOM_HOME", str(tmp_path / "killed"))
    killed = sum(run_and_kill(toy_run, *moment) for moment in moments(seed, 10, 45))
    assert killed >= 8
    assert outcome(toy_run(lambda event: None)) == unbroken


def test_a_killed_campaign_shows_as_interrupted_and_its_lock_is_free() -> None:
    assert run_and_kill(toy_run, 30, 0.0)
    assert api.campaign_status("toy").state == "interrupted"
    assert toy_run(lambda event: None).status.state == "accepted"


def test_a_killed_llm_campaign_asks_nothing_twice_and_ends_the_same(tmp_path: Path) -> None:
    fate, model = kills.unbroken(tmp_path / "unbroken")
    assert len(fate.asked) > 10
    found = [kills.killed(tmp_path / str(seed), model, seed, 2) for seed in range(4)]
    assert sum(hits for _, hits in found) >= 4
    assert all(each.same(fate) and not each.again for each, _ in found)


def real_run(spec: Spec, progress: Progress) -> CampaignResult:
    """Start or resume the digits campaign with the real gates."""
    if spec.name in names():
        return api.resume_campaign(spec.name, progress=progress)
    return api.start_campaign(spec, budget=Budget(rounds=2), seed=5, progress=progress)


@pytest.mark.slow
def test_ten_kills_of_a_real_campaign_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = read_spec(DIGITS)
    monkeypatch.setenv("RTLOOM_HOME", str(tmp_path / "unbroken"))
    unbroken = outcome(real_run(spec, lambda event: None))
    monkeypatch.setenv("RTLOOM_HOME", str(tmp_path / "killed"))
    killed = sum(run_and_kill(partial(real_run, spec), *moment) for moment in moments(7, 10, 30))
    assert killed == 10
    assert outcome(real_run(spec, lambda event: None)) == unbroken
