"""A draft that policy or lint refuses is told so without an evaluation, and given back a bounded number of times."""

from __future__ import annotations

import pytest

from agents.campaign import Campaign
from agents.records import CampaignResult, GateOutcome
from agents.roles.writer import MENDINGS
from hwlib.design import Design
from tests.agents import test_llm
from tests.agents.stand_in import ToyEvaluator
from tests.agents.test_llm import campaign, order, swap, text_of
from tests.agents.test_writer import CHECK, asks, hands_in, results, uses


class Reading(ToyEvaluator):
    """Its lint refuses a block of which the first line says `garbled`."""

    def check_block(self, design: Design, block: str, gate: str) -> GateOutcome:
        text = (design.folder / "rtl" / f"{block}.v").read_text()
        if text.startswith("// garbled"):
            bad = gate == "lint"
            return GateOutcome(gate, block, not bad, (f"{block}.v:1: syntax error",) if bad else ())
        return super().check_block(design, block, gate)


@pytest.fixture(autouse=True)
def _judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_llm, "ToyEvaluator", Reading)


def gates_paid(result: CampaignResult) -> int:
    """Evaluations that were booked for the gates of round 1's array."""
    opened = Campaign(result.status.folder)
    try:
        return opened.ledger.evaluations_under("001-array")
    finally:
        opened.close()


def test_a_check_of_what_cannot_be_read_costs_no_evaluation() -> None:
    script = (
        order("array"),
        asks(CHECK, {"tool": "synthesise_draft"}, edits=(("// plain", "// garbled"),)),
        asks(CHECK, edits=(("// garbled", "// quick"),)),
        hands_in(),
    )
    with campaign(*script) as (result, server):
        assert results(server, 2).count("Not judged, which costs no check: lint refuses it\n- array.v:1: syntax") == 2
        assert "with 6 checks and syntheses in all" in results(server, 2)
        assert "with 5 checks and syntheses in all" in results(server, 3)
        assert uses(result.status.folder) == [("check_draft", 0), ("check_draft", 1), ("synthesise_draft", 0)]
        assert text_of(result, "array").startswith("// quick")


def test_what_is_handed_in_unreadable_is_given_back_and_not_paid_for() -> None:
    with campaign(order("array"), swap("array", "plain", "quick"), name="clean") as (clean, _):
        pass
    script = (order("array"), swap("array", "plain", "garbled"), swap("array", "garbled", "quick"))
    with campaign(*script) as (result, server):
        assert len(server.asked) == 3
        assert results(server, 2).startswith("Not handed in. Not judged")
        assert text_of(result, "array").startswith("// quick")
        assert gates_paid(result) == gates_paid(clean) > 0


def test_it_is_given_back_so_often_and_then_counts() -> None:
    again = [swap("array", "garbled", f"garbled {n}\n//") for n in range(MENDINGS)]
    finding = {"findings": []}
    script = (order("array"), swap("array", "plain", "garbled"), *again, test_llm.says(finding))
    with campaign(*script) as (result, server):
        assert len(server.asked) == 3 + MENDINGS
        assert gates_paid(result) == 2
        assert any("refused by lint" in lesson for lesson in result.status.lessons)
