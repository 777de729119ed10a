"""The main job's bounds: each can be missed, and is then said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agents.compare import Accuracy, Comparison
from agents.demonstration import checks
from agents.records import Budget, CampaignResult, CampaignStatus, Cost, Figures, GateOutcome, Revision
from tests.agents.entries import comparison

EXACT = Accuracy("mine", 0.9867, 0.9844, 450, 0.98, 64, True)


def revision(round_: int, objective: float) -> Revision:
    return Revision(
        revision=str(round_), parent=None, tree_hash="", round=round_, state="accepted", role="search", model="",
        prompt_version="", reason="", parameters={}, variants={}, blocks={}, gates=(),
        figures=Figures(1.0, 1.0, None, 1, 1.0, None, 0.5, objective), cost=Cost(),
    )  # fmt: skip


def result(defaults: float | None, best: float) -> CampaignResult:
    baseline = None if defaults is None else revision(0, defaults)
    status = CampaignStatus(
        name="mine", folder=Path(), state="accepted", designer="search", model="", seed=0, round=1, budget=Budget(),
        spent=Cost(), objective="area_delay", baseline=baseline, best=revision(1, best), revisions=2,
    )  # fmt: skip
    return CampaignResult(status, revision(1, best), Path(), "budget spent")


def measured(**changes: object) -> Comparison:
    mine = replace(EXACT, **changes)  # type: ignore[arg-type]
    return replace(comparison(), accuracy=(mine, replace(mine, label="expert")))


def missed(found: Comparison, campaign: CampaignResult) -> list[str]:
    return [check.name for check in checks(found, campaign) if not check.holds]


def test_a_good_run_misses_nothing() -> None:
    assert missed(measured(), result(2.0, 1.0)) == []
    assert len(checks(measured(), result(2.0, 1.0))) == 7


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({"float_accuracy": 0.969, "integer_accuracy": 0.969}, 1),
        ({"integer_accuracy": 0.98}, 1),
        ({"integer_accuracy": 0.9934}, 1),
        ({"logits_equal": False}, 2),
    ],
)
def test_each_figure_of_the_model_is_bounded(changes: dict[str, object], count: int) -> None:
    assert len(missed(measured(**changes), result(2.0, 1.0))) == count


def test_a_design_no_better_than_the_defaults_is_missed() -> None:
    for campaign in (result(1.0, 1.0), result(None, 1.0)):
        (name,) = missed(measured(), campaign)
        assert "templates' defaults" in name


def test_a_refused_or_unjudged_design_is_missed() -> None:
    mine, expert = comparison().entries
    for gates in ((), (GateOutcome("lint", "design", False),)):
        found = replace(measured(), entries=(replace(mine, gates=gates), expert))
        assert missed(found, result(2.0, 1.0)) == ["mine passes every gate"]
