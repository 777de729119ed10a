"""Review: what a reviewer sees, and decisions bound to the tree that was shown."""

from __future__ import annotations

import json

import pytest

from agents import api, cli
from agents.records import Budget, Figures
from agents.report import review_page
from agents.review import decide, deltas, pick, waiting
from agents.state import State
from agents.workshop import Workshop
from hwlib.errors import InputError
from tests.agents.stand_in import SPEC, ToyEvaluator, toy_designer


@pytest.fixture
def _waiting_campaign() -> None:
    """A campaign whose second design waits, its first approved."""
    start = {"evaluators": ToyEvaluator, "designers": toy_designer}
    api.start_campaign(SPEC, review="wait", budget=Budget(rounds=2), **start)  # type: ignore[arg-type]
    (first,) = waiting("toy")
    decide(first, True, "")
    api.resume_campaign("toy", **start)  # type: ignore[arg-type]


@pytest.mark.usefixtures("_waiting_campaign")
def test_item_shows_difference_gates_and_gain() -> None:
    (item,) = waiting(None)
    assert item.parent is not None
    assert item.parent.round == 0
    assert (item.diff.a, item.diff.b) == ("toy:r0", "toy:r1")
    assert not item.diff.empty
    objective = next(d for d in item.deltas if d.field == "objective")
    assert objective.better
    assert objective.ratio is not None
    assert objective.ratio < 1
    page = review_page([item])
    assert item.tree_hash in page
    assert "rtloom review toy --approve r1" in page


@pytest.mark.usefixtures("_waiting_campaign")
def test_a_decision_on_another_tree_is_void() -> None:
    (item,) = waiting("toy")
    with pytest.raises(InputError, match="tree"):
        api.record_decision("toy", item.revision.revision, True, "", "0" * 64)
    assert waiting("toy")


@pytest.mark.usefixtures("_waiting_campaign")
def test_rejecting_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["review", "toy", "--reject", "r1"]) == 2
    assert "reason" in capsys.readouterr().err
    assert cli.run(["review", "toy", "--reject", "r1", "--reason", "T <= 2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["decision"], found["reason"], found["constraints"]) == ("rejected", "T <= 2", ["T <= 2"])
    assert waiting("toy") == []


@pytest.mark.usefixtures("_waiting_campaign")
@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("avoid array quick", "Understood as constraints: avoid array quick."),
        ("ugly", "Understood as no constraint: the search designer leaves out this very design only"),
    ],
)
def test_a_rejection_says_what_was_understood(reason: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["review", "toy", "--reject", "r1", "--reason", reason]) == 0
    assert said in " ".join(capsys.readouterr().out.split())


@pytest.mark.usefixtures("_waiting_campaign")
def test_listing_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["review", "toy"]) == 0
    shown = capsys.readouterr().out
    assert "toy:r1" in shown
    assert "simulate" in shown
    assert cli.run(["review", "--json"]) == 0
    (item,) = json.loads(capsys.readouterr().out)["waiting"]
    assert item["deltas"]["objective"]["ratio"] < 1
    assert all(gate["passed"] for gate in item["gates"])


@pytest.mark.usefixtures("_waiting_campaign")
def test_pick_needs_exactly_one() -> None:
    items = waiting("toy")
    assert pick(items, items[0].revision.revision[:8]) == items[0]
    with pytest.raises(InputError, match="waiting: toy:r1"):
        pick(items, "r0")


def test_deltas_without_a_parent_have_no_ratio() -> None:
    new = Figures(1.0, 2.0, None, 3, 4.0, None, 0.5, 6.0)
    found = {d.field: d for d in deltas(None, new)}
    assert found["area_um2"].new == 1.0
    assert found["area_um2"].ratio is None
    assert found["power_mw"].better is None


def test_more_utilisation_is_better_and_more_area_worse() -> None:
    old = Figures(1.0, 2.0, 1.0, 3, 4.0, 5.0, 0.5, 6.0)
    new = Figures(2.0, 2.0, 1.0, 3, 4.0, 5.0, 0.6, 6.0)
    found = {d.field: d.better for d in deltas(old, new)}
    assert found["utilisation"] is True
    assert found["area_um2"] is False
    assert found["cycles"] is None


def grow(revision: str) -> None:
    """Append a byte to a file of the revision's checkout."""
    path = api.campaign_status("toy").folder / "checkouts" / revision / "rtl" / "array.v"
    path.write_text(path.read_text() + "\n")


@pytest.mark.usefixtures("_waiting_campaign")
def test_an_approval_is_void_when_the_tree_changes_on_disk() -> None:
    (item,) = waiting("toy")
    decide(item, True, "")
    grow(item.revision.revision)
    result = api.resume_campaign("toy", evaluators=ToyEvaluator, designers=toy_designer)
    assert result.status.state == "waiting"
    (again,) = waiting("toy")
    assert again.tree_hash == item.tree_hash
    decide(again, True, "")
    assert api.resume_campaign("toy", evaluators=ToyEvaluator, designers=toy_designer).status.state == "accepted"


@pytest.mark.usefixtures("_waiting_campaign")
def test_an_approval_is_void_when_the_tree_changes_just_before_acceptance(monkeypatch: pytest.MonkeyPatch) -> None:
    from agents.steps import whole

    (item,) = waiting("toy")
    decide(item, True, "")
    accept = whole.accept_revision

    def late(state: State, shop: Workshop) -> State:
        grow(item.revision.revision)
        return accept(state, shop)

    with monkeypatch.context() as patch:
        patch.setattr(whole, "accept_revision", late)
        result = api.resume_campaign("toy", evaluators=ToyEvaluator, designers=toy_designer)
    assert result.status.state == "waiting"
    (again,) = waiting("toy")
    decide(again, True, "")
    result = api.resume_campaign("toy", evaluators=ToyEvaluator, designers=toy_designer)
    assert result.accepted is not None
    assert result.accepted.revision == item.revision.revision


@pytest.mark.usefixtures("_waiting_campaign")
def test_a_design_by_name_is_what_was_committed_whatever_lies_in_its_folder() -> None:
    first = api.accepted_design("toy")
    tree = api.resolve_design("toy").tree_hash
    (first / "rtl" / "extra.v").write_text("module extra;\nendmodule\n")
    (first / "rtl" / "array.v").unlink()
    assert api.resolve_design("toy").tree_hash == tree
    assert api.resolve_design("toy:r0").tree_hash == tree
