"""Whole campaigns of the search designer over a stand-in judge: what is accepted, why it ends, stop, lock, review."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from agents import api, limits
from agents.campaign import Campaign, home, names
from agents.designers import TOO_FEW
from agents.designers.search import SearchDesigner
from agents.evaluator import Evaluator
from agents.ledger import opened
from agents.progress import Event
from agents.records import Budget, CampaignResult, Revision
from agents.store import RevisionStore
from hwlib import contracts
from hwlib.design import Design, Manifest, read_design
from hwlib.errors import InputError
from hwlib.spec import Spec
from tests.agents.stand_in import SPEC, ToyEvaluator, toy_designer
from verification import toolchain

LEAST = len(contracts.names()) * limits.BLOCK_EVALUATIONS + limits.DESIGN_EVALUATIONS
"""Evaluations of a first design."""


def start(spec: Spec = SPEC, evaluators: api.Evaluators = ToyEvaluator, **changes: object) -> CampaignResult:
    return api.start_campaign(spec, evaluators=evaluators, designers=toy_designer, **changes)  # type: ignore[arg-type]


def resume(name: str = "toy") -> CampaignResult:
    return api.resume_campaign(name, evaluators=ToyEvaluator, designers=toy_designer)


def objective(revision: Revision | None) -> float:
    assert revision is not None
    assert revision.figures is not None
    return revision.figures.objective


def test_the_accepted_design_beats_the_baseline() -> None:
    result = start()
    assert result.status.state == "accepted"
    assert objective(result.accepted) < 0.5 * objective(result.status.baseline)
    assert result.accepted is not None
    assert result.accepted.variants["array"] == "quick"
    assert result.design is not None
    assert read_design(result.design).tree_hash == result.accepted.tree_hash
    assert api.resolve_design("toy").tree_hash == result.accepted.tree_hash
    assert api.resolve_design("toy:r0").manifest.variants["array"] == "plain"


def test_a_variant_a_gate_refused_is_not_tried_again_and_becomes_a_lesson() -> None:
    events: list[Event] = []
    result = start(progress=events.append)
    tries = [e for e in events if e.node == "write" and e.text == "broken"]
    assert len(tries) == 1
    assert result.status.lessons == ("array (broken) was refused by simulate: cycle 3: acc.data is 1, expected 2",)


def test_revisions_are_commits_with_their_origin() -> None:
    result = start(budget=Budget(rounds=2))
    first, second = api.revisions("toy")
    assert (first.parent, second.parent) == (None, first.revision)
    assert [first.state, second.state] == ["superseded", "accepted"]
    repository = result.status.folder / "revisions.git"
    log = subprocess.run(
        ["git", f"--git-dir={repository}", "log", "--format=%H%n%B", "accepted"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert log.startswith(second.revision)
    assert f"Parent: {first.revision}\nEvaluations: {second.cost.evaluations - limits.DESIGN_EVALUATIONS}" in log


def test_the_same_seed_gives_the_same_revisions() -> None:
    one = start(name="one")
    two = start(name="two")
    assert [r.revision for r in api.revisions("one")] == [r.revision for r in api.revisions("two")]
    assert one.accepted is not None
    assert two.accepted is not None
    assert one.accepted.tree_hash == two.accepted.tree_hash


def test_progress_tells_nodes_blocks_gates_and_best() -> None:
    events: list[Event] = []
    start(progress=events.append, budget=Budget(rounds=1))
    assert {e.node for e in events} == {"plan", "write", "verify", "assemble", "measure", "decide", "accept", "settle"}
    assert {e.gate for e in events if e.block == "array"} == {"", "policy", "lint", "simulate"}
    assert events[0].best is None
    assert events[-1].best is not None


@pytest.mark.parametrize(
    ("budget", "why"),
    [(Budget(rounds=1), "budget: 1 rounds"), (Budget(rounds=9, evaluations=LEAST), TOO_FEW),
     (Budget(rounds=9, evaluations=LEAST + 18), TOO_FEW)],
)  # fmt: skip
def test_a_budget_ends_it(budget: Budget, why: str) -> None:
    result = start(budget=budget)
    assert result.why == why
    assert result.status.state == "accepted"
    assert budget.evaluations is None or result.status.spent.evaluations <= budget.evaluations


def test_a_spent_wall_time_stops_it_between_gates_with_its_best_design(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Event] = []
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(limits, "time", clock)

    class Slow(ToyEvaluator):
        """Its gates take no time in round 0, and more than there is in round 1."""

        def _work(self) -> None:
            clock.now += 30.0 * (events[-1].round == 1)

    result = start(evaluators=Slow, progress=events.append, budget=Budget(rounds=9, wall_s=20))
    assert result.why == "budget: 20 s of wall time"
    assert result.accepted is not None
    assert result.accepted.round == 0
    assert sum(event.round == 1 and event.kind == "start" and bool(event.gate) for event in events) <= 2
    assert resume().why == result.why


def test_no_time_at_all_judges_nothing() -> None:
    result = start(budget=Budget(wall_s=1e-6))
    assert result.status.state == "failed"
    assert result.why == "budget: 1e-06 s of wall time"
    assert result.status.spent.evaluations == 0


def test_a_budget_that_cannot_pay_for_the_first_design_is_refused_and_leaves_nothing() -> None:
    says = f"^--budget: evaluations={LEAST - 1} .* takes {LEAST}; give at least evaluations={LEAST}$"
    with pytest.raises(InputError, match=says):
        start(budget=Budget(evaluations=LEAST - 1))
    assert names() == []


def test_evaluations_are_reserved_up_to_the_limit_and_a_key_once(tmp_path: Path) -> None:
    with opened(tmp_path / "l.sqlite") as ledger:
        assert [ledger.reserve(key, "lint", 0, 2) for key in ("a", "b", "c", "a")] == [True, True, False, True]
        assert ledger.spent().evaluations == 2


def test_a_campaign_that_fails_before_it_judged_anything_leaves_nothing() -> None:
    def no_judge(spec: Spec) -> ToyEvaluator:
        raise InputError("no such technology")

    def no_designer(campaign: Campaign, evaluator: Evaluator) -> SearchDesigner:
        raise InputError("no API key")

    class NoModel(ToyEvaluator):
        """A judge that does not know the workload."""

        def model_cycles(self, manifest: Manifest) -> int | None:
            raise InputError("no workload 'gpt'")

    for evaluators, designers, line in (
        (no_judge, toy_designer, "no such technology"),
        (ToyEvaluator, no_designer, "no API key"),
        (NoModel, toy_designer, "no workload 'gpt'"),
    ):
        with pytest.raises(InputError, match=line):
            api.start_campaign(SPEC, evaluators=evaluators, designers=designers)
        assert list(home().iterdir() if home().exists() else []) == []
    assert start(budget=Budget(rounds=1)).status.state == "accepted"


def test_a_missing_tool_is_found_before_anything_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = toolchain.Tool("sta", None, None, "2.0", "timing", "apt-get install opensta")
    monkeypatch.setattr(toolchain, "find_tools", lambda: (absent,))
    with pytest.raises(InputError, match=r"sta is not installed.*apt-get install opensta"):
        api.start_campaign(SPEC)
    assert names() == []


def test_a_failure_while_it_is_created_leaves_no_ghost(monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(self: RevisionStore) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RevisionStore, "create", killed)
        with pytest.raises(KeyboardInterrupt):
            start()
    assert list(home().iterdir()) == []
    ghost = home() / ".new-abcd"
    ghost.mkdir()
    (ghost / "settings.yaml").write_text("name: toy\n")
    assert names() == []
    assert api.list_campaigns() == []


@pytest.mark.parametrize("name", ["../evil", "a b", ".new-x", "-x", "A", "a" * 42, "a\n"])
def test_a_name_that_cannot_be_a_folders_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="is no name"):
        start(name=name)
    with pytest.raises(InputError, match="no campaign"):
        api.campaign_status(name)


@pytest.mark.parametrize("file", ["settings.yaml", "spec.yaml", "ledger.sqlite"])
def test_a_damaged_campaign_is_named_and_does_not_hide_the_others(file: str) -> None:
    folder = start(name="bad", budget=Budget(rounds=1)).status.folder
    start(name="good", budget=Budget(rounds=1))
    for path in folder.glob(f"{file}*"):
        path.unlink()
    (folder / file).write_text("][ junk " * 200)
    found, damaged = api.survey()
    assert [status.name for status in found] == ["good"]
    (line,) = damaged
    assert line.startswith(str(folder / file))
    with pytest.raises(InputError, match=file):
        api.campaign_status("bad")


def test_it_converges_when_nothing_more_is_promised() -> None:
    result = start(budget=Budget(rounds=20))
    assert result.why.startswith("converged")
    assert result.status.round < 10


def test_a_design_over_budget_is_measured_but_not_accepted() -> None:
    tight = SPEC.model_copy(update={"clock_ns": 1.0})
    result = start(tight, budget=Budget(rounds=2))
    assert result.status.state == "failed"
    assert result.accepted is None
    assert "over the budget of 1 ns" in result.status.lessons[-1]
    with pytest.raises(InputError, match="no accepted design"):
        api.accepted_design("toy")


def test_a_refused_assembly_is_not_proposed_again() -> None:
    def refuse(design: Design, gate: str) -> bool:
        return gate == "integrate" and design.manifest.variants["array"] == "quick"

    result = start(evaluators=lambda spec: ToyEvaluator(spec, refuse_design=refuse))
    states = [r.state for r in api.revisions("toy")]
    assert states[:2] == ["accepted", "failed"]
    assert len({r.tree_hash for r in api.revisions("toy")}) == len(states)
    assert any("refused by integrate: layer 0 differs" in lesson for lesson in result.status.lessons)


def test_a_taken_name_and_an_unknown_name_are_clear_errors() -> None:
    start(budget=Budget(rounds=1))
    with pytest.raises(InputError, match="campaign 'toy' exists already"):
        start()
    with pytest.raises(InputError, match="no campaign 'tow'; campaigns: toy"):
        api.campaign_status("tow")


def test_a_second_process_is_refused() -> None:
    start(budget=Budget(rounds=1))
    campaign = Campaign.open("toy")
    with campaign.locked(), pytest.raises(InputError, match=r"campaign 'toy' is running in process \d+"):
        resume()
    campaign.close()


def test_stop_ends_after_the_step_and_resume_ends_as_if_never_stopped() -> None:
    whole = start(name="whole")

    def stop_at_gate(event: Event) -> None:
        if event.round == 1 and event.gate == "integrate":
            api.stop_campaign("toy")

    stopped = start(progress=stop_at_gate)
    assert stopped.status.state == "stopped"
    finished = resume()
    assert finished.status.state == "accepted"
    assert objective(finished.accepted) == objective(whole.accepted)


def test_stopping_what_does_not_run_is_an_error() -> None:
    start(budget=Budget(rounds=1))
    with pytest.raises(InputError, match="is not running"):
        api.stop_campaign("toy")


def decide(approve: bool, reason: str = "") -> CampaignResult:
    (waiting,) = api.pending_reviews("toy")
    api.record_decision("toy", waiting.revision.revision, approve, reason, waiting.revision.tree_hash)
    return resume()


def test_review_waits_at_every_better_design_and_goes_on_after_approval() -> None:
    result = start(review="wait", budget=Budget(rounds=2))
    assert (result.status.state, result.accepted) == ("waiting", None)
    assert resume().status.state == "waiting"
    second = decide(True)
    assert second.status.state == "waiting"
    (waiting,) = api.pending_reviews("toy")
    assert waiting.parent is not None
    assert waiting.parent.round == 0
    done = decide(True)
    assert done.status.state == "accepted"
    assert done.accepted is not None
    assert done.accepted.round == 1


def test_a_rejection_constrains_later_rounds() -> None:
    start(review="wait", budget=Budget(rounds=3))
    decide(True)
    decide(False, "avoid array quick, and keep T <= 2")
    rejected, last = api.revisions("toy")[1:]
    assert rejected.state == "rejected"
    assert last.parameters["T"] == 2
    assert last.variants["array"] != "quick"
    assert any("a reviewer rejected it" in lesson for lesson in api.campaign_status("toy").lessons)


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        ("T <= 1 please", "no design keeps the reviewers' constraints: T <= 1"),
        ("D > 64, avoid array quick", "no design keeps the reviewers' constraints: D > 64; avoid array quick"),
    ],
)
def test_constraints_that_nothing_keeps_are_named_at_the_end(reason: str, why: str) -> None:
    start(review="wait")
    assert decide(False, reason).why == why


def test_a_decision_is_void_for_another_tree_and_a_rejection_needs_a_reason() -> None:
    start(review="wait", budget=Budget(rounds=1))
    (waiting,) = api.pending_reviews("toy")
    with pytest.raises(InputError, match="is not this revision's"):
        api.record_decision("toy", waiting.revision.revision, True, "", "0" * 64)
    with pytest.raises(InputError, match="a rejection needs a reason"):
        api.record_decision("toy", waiting.revision.revision, False, " ", waiting.revision.tree_hash)
    assert api.pending_reviews("toy") == [waiting]


@pytest.mark.parametrize(("word", "line"), [("nowhere", "no design 'nowhere'"), ("toy:r9", "no single revision 'r9'")])
def test_a_word_that_names_no_design_says_so(word: str, line: str) -> None:
    start(budget=Budget(rounds=1))
    with pytest.raises(InputError, match=line):
        api.resolve_design(word)


def test_the_pareto_front_holds_what_nothing_betters() -> None:
    result = start()
    front = {r.revision for r in result.status.pareto}
    assert result.accepted is not None
    assert result.accepted.revision in front
    for other in api.revisions("toy"):
        if other.revision not in front:
            assert other.figures is not None
            assert any(r.figures and r.figures.area_um2 <= other.figures.area_um2 for r in result.status.pareto)
