"""What a campaign keeps: text store, revision store, ledger, and the figures computed from measurements."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.evaluator import Measured, broken_budgets, figures
from agents.ledger import Ledger, pareto_front
from agents.progress import Event, plain_line
from agents.records import Cost, Figures, GateOutcome, Revision
from agents.roles.answers import BlockAnswer, Edit, File
from agents.roles.edits import apply
from agents.state import merge
from agents.store import RevisionStore, TextStore
from hwlib.errors import InputError
from hwlib.spec import Budgets, Spec

FIGURES = Figures(2e6, 5.0, 10.0, 1000, 5.0, 50_000.0, 0.5, 10.0)


def revision() -> Revision:
    return Revision(
        revision="a" * 40, parent=None, tree_hash="b" * 64, round=0, state="measured", role="planner", model="",
        prompt_version="", reason="first", parameters={"T": 4}, variants={"array": "plain"}, blocks={"array": "id"},
        gates=(GateOutcome("lint", "array", True, metrics={"seconds": 1.5}),), figures=FIGURES, cost=Cost(3, 1.0),
    )  # fmt: skip


def store(folder: Path) -> RevisionStore:
    made = RevisionStore(folder / "git", folder / "out")
    made.create()
    return made


FILES = {"design.yaml": "name: x\n", "rtl/a.v": "module a;\nendmodule\n", "rtl/b.v": "// é\n"}


def test_a_commits_hash_depends_on_its_content_only(tmp_path: Path) -> None:
    one, two = store(tmp_path / "1"), store(tmp_path / "2")
    first = one.commit(FILES, None, "first", 0)
    assert two.commit(FILES, None, "first", 0) == first
    assert one.commit(FILES, None, "first", 0) == first
    assert one.commit(FILES, first, "second", 1) != first


def test_a_checkout_holds_what_was_committed(tmp_path: Path) -> None:
    made = store(tmp_path)
    folder = made.checkout(made.commit(FILES, None, "first", 0))
    assert {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()} == FILES


def test_locks_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    made = store(tmp_path)
    first = made.commit(FILES, None, "first", 0)
    (made.repository / "refs" / "heads" / "accepted.lock").touch()
    with pytest.raises(InputError, match=r"git update-ref: .*accepted\.lock"):
        made.accept(first)
    made.unlock()
    made.accept(first)
    command = ["git", f"--git-dir={made.repository}", "rev-parse", "accepted"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == first


def test_texts_come_back_by_hash(tmp_path: Path) -> None:
    texts = TextStore(tmp_path / "texts")
    name = texts.put("module é;")
    assert texts.put("module é;") == name
    assert texts.get(name) == "module é;"
    assert len(list((tmp_path / "texts").iterdir())) == 1


def test_a_charge_is_booked_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite")
    for _ in range(2):
        ledger.charge("a", "lint", 0, Cost(evaluations=1, wall_s=2.0))
    ledger.charge("b", "lint", 1, Cost(evaluations=1, tokens=7))
    assert ledger.spent() == Cost(2, 2.0, 7, 0.0)
    assert ledger.spent(1) == Cost(1, 0.0, 7, 0.0)


def test_a_revision_survives_the_ledger(tmp_path: Path) -> None:
    Ledger(tmp_path / "l.sqlite").put_revision(0, revision())
    assert Ledger(tmp_path / "l.sqlite").revisions() == [revision()]


def test_lessons_are_bounded_and_the_newest(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite")
    for number in range(40):
        ledger.learn(f"{number:03d}", number, f"lesson {number}")
    kept = ledger.lessons(before=39)
    assert kept[-1] == "lesson 38"
    assert len(kept) == 24


def test_the_pareto_front_drops_what_is_bettered_everywhere() -> None:
    better = replace(revision(), revision="c", figures=replace(FIGURES, area_um2=1e6))
    quicker = replace(revision(), revision="d", figures=replace(FIGURES, area_um2=3e6, latency_us=1.0))
    failed = replace(revision(), revision="e", state="failed", figures=replace(FIGURES, area_um2=1.0))
    assert pareto_front([revision(), better, quicker, failed]) == (better, quicker)


@pytest.mark.parametrize(
    ("objective", "value"),
    [("area_delay", 2.0 * 5.0), ("delay", 5.0), ("area", 2.0), ("energy", 50.0), ("energy_delay", 250.0)],
)
def test_objectives(objective: str, value: float) -> None:
    spec = Spec.model_validate({"name": "x", "objective": objective})
    found = figures(spec, Measured(2e6, 5.0, 10.0, 1000, 0.5))
    assert found.objective == pytest.approx(value)
    assert (found.latency_us, found.energy_pj) == (5.0, 50_000.0)


def test_an_energy_objective_without_power_is_never_best() -> None:
    spec = Spec(name="x", objective="energy")
    assert figures(spec, Measured(2e6, 5.0, None, 1000, 0.5)).objective == float("inf")


def test_broken_budgets_are_named() -> None:
    spec = Spec(name="x", clock_ns=4.0, budgets=Budgets(area_um2=1e6, power_mw=20, latency_us=9))
    assert broken_budgets(spec, FIGURES) == [
        "area 2e+06 um2 is over the budget of 1e+06 um2", "period 5 ns is over the budget of 4 ns",
    ]  # fmt: skip


@given(st.lists(st.dictionaries(st.text(max_size=3), st.booleans(), max_size=3), max_size=4))
def test_branches_merge_to_the_same_in_any_order(branches: list[dict[str, bool]]) -> None:
    distinct = [{f"{i}{key}": value for key, value in branch.items()} for i, branch in enumerate(branches)]

    def merged(order: list[dict[str, bool]]) -> list[tuple[str, bool]]:
        total: dict[str, bool] = {}
        for branch in order:
            total = merge(total, branch)
        return list(total.items())

    assert merged(distinct) == merged(distinct[::-1])


PARENT = {"array.v": "one\ntwo\ntwo\n"}


def answer(files: tuple[tuple[str, str], ...] = (), edits: tuple[tuple[str, str, str], ...] = ()) -> BlockAnswer:
    return BlockAnswer(
        files=[File(name=n, text=t) for n, t in files], edits=[Edit(name=n, search=s, replace=r) for n, s, r in edits]
    )


def test_files_replace_and_edits_apply() -> None:
    found = apply(answer((("array_tree.v", "tree"),), (("array.v", "one", "1"),)), PARENT, "array")
    assert found == {"array.v": "1\ntwo\ntwo\n", "array_tree.v": "tree"}


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (answer((("../array.v", "x"),)), "use array.v and array_<part>.v"),
        (answer((("softmax.v", "x"),)), "use array.v and array_<part>.v"),
        (answer(edits=(("array.v", "two", "2"),)), "occurs 2 times, not once"),
        (answer(edits=(("array.v", "", "2"),)), "occurs 0 times"),
        (answer(edits=(("other.v", "one", "2"),)), "occurs 0 times"),
        (answer(), "nothing was changed"),
        (answer((("array.v", "x" * 500_000),)), "larger than"),
    ],
)
def test_an_answer_that_does_not_apply_says_why(bad: BlockAnswer, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        apply(bad, PARENT, "array")


def test_a_progress_line_reads_alone() -> None:
    event = Event("fail", "verify", 2, "array", "lint", "array.v:3: width", 0.5, 1.25)
    assert plain_line(event) == "[round 2] fail  verify array lint: array.v:3: width (1.2 s)  best 0.5"
