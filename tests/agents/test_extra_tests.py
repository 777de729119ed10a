"""Tests a verifier proposes: kept if they find a fault the bench leaves, and run on later candidates of the block."""

from __future__ import annotations

from agents.campaign import Campaign
from agents.records import CampaignResult
from tests.agents.fake_server import Answer
from tests.agents.test_llm import campaign, order, says, swap, text_of


def finding(scenario: str, **changes: float) -> Answer:
    """The verifier's answer, with a test."""
    test = {"scenario": scenario, "seed": 1, "transactions": 50, "gap": 0.2, "stall": 0.2, "reset_after": 0} | changes
    return says({"findings": ["array.v:1: write quick"], "tests": [test]})


def booked(result: CampaignResult) -> list[str]:
    """Kinds of the evaluations that have to do with proposed tests."""
    opened = Campaign(result.status.folder)
    try:
        found = opened.ledger._rows("select kind from charges where kind in ('grade', 'extra') order by kind")
        return [kind for (kind,) in found]
    finally:
        opened.close()


def after(test: Answer) -> list[Answer]:
    """A round whose first attempt is refused, and one that writes the array lean."""
    mended = [order("array"), swap("array", "plain", "broken"), test, swap("array", "broken", "quick")]
    return [*mended, order("array"), swap("array", "quick", "lean"), says({"findings": []})]


def test_a_kept_test_refuses_a_later_candidate() -> None:
    with campaign(*after(finding("corners")), rounds=3) as (result, server):
        assert booked(result) == ["extra", "grade"]
        assert text_of(result, "array").startswith("// quick")
        assert any("refused by extra: proposed corners" in lesson for lesson in result.status.lessons)
        assert "Scenarios of its bench: full-rate, short-tiles" in server.asked[2][1]["messages"][-1]["content"]


def test_a_test_that_finds_nothing_new_is_not_kept() -> None:
    with campaign(*after(finding("bubbles")), rounds=3) as (result, _):
        assert booked(result) == ["grade"]
        assert not any("extra" in lesson for lesson in result.status.lessons)
