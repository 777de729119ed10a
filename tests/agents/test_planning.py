"""The LLM planner's orders: expectations held against measurements, parents from the archive, drafts, omissions."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import ablation, api, expectations, transcripts
from agents.designers import BlockCost, Candidate, Context, WorkOrder
from agents.designers.library import TemplateLibrary, chosen
from agents.designers.llm import _best_mix
from agents.designers.planning import drafted
from agents.progress import silent
from agents.records import Budget, CampaignResult
from agents.roles import omissions
from agents.roles.block_table import table
from hwlib import contracts
from hwlib.errors import InputError
from tests.agents.fake_server import Answer
from tests.agents.stand_in import SPEC, ToyEvaluator, toy_designer
from tests.agents.test_llm import campaign, order, prompt, says, swap, text_of
from tests.agents.toy_model import ToyModel, designer


def hopeful(block: str, parent: str = "", **percent: float) -> object:
    """A plan of one order with what it should change."""
    hopes = {f"{figure}_percent": value for figure, value in percent.items()}
    one = {"block": block, "intent": f"make {block} quick", "hypothesis": "it sets the period"} | hopes
    return says({"reason": "r", "stop": False, "parent": parent, "parameters": [], "orders": [one]})


def test_what_an_order_expected_comes_back_beside_what_was_measured() -> None:
    script = (hopeful("array", period=-50, cycles=-10), swap("array", "plain", "quick"), order(stop=True))
    with campaign(*script, rounds=3) as (_, server):
        assert "it sets the period" in prompt(server, 1)
        second = prompt(server, 2)
        assert "array: area expected +0 %, measured +10.0 %, period expected -50 %, measured -40.0 %" in second
        assert "cycles expected -10 %, measured +0.0 %" in second


def test_a_planner_hears_how_many_rounds_are_left() -> None:
    script = (order("array"), swap("array", "plain", "quick"), order("norm"), swap("norm", "plain", "quick"))
    with campaign(*script, rounds=3) as (_, server):
        assert "This is round 1; 1 may follow." in prompt(server, 0)
        assert "This is round 2, the last: order all that pays." in prompt(server, 2)


def test_a_planner_sees_what_contracts_and_templates_say_before_all_that_changes() -> None:
    with campaign(order("array"), swap("array", "plain", "quick"), order(stop=True), rounds=3) as (_, server):
        first, second = (server.asked[number][1]["messages"][1]["content"] for number in (0, 2))
        stable = first.partition("## Best design so far")[0]
        assert table() in stable
        assert second.startswith(stable)


def test_a_writer_hears_what_the_rounds_lower_blocks_have_reached() -> None:
    script = (order("array", "matrix_unit"), swap("array", "plain", "quick"), swap("matrix_unit", "plain", "quick"))
    with campaign(*script) as (_, server):
        assert "array, written in this round" not in prompt(server, 1)
        reached = prompt(server, 2).partition("array, written in this round: ")[2].partition("\n")[0]
        now, was = (float(part.split("period ")[1].split()[0]) for part in reached.split(", where the design has"))
        assert now == pytest.approx(0.6 * was, abs=0.01)
        assert f"Its period counts only above all others': array's is {was:.2f} ns" not in prompt(server, 2)


def tries(*templates: tuple[str, str], orders: tuple[dict[str, str], ...] = ()) -> Answer:
    """A plan that tries blocks as templates have them."""
    takes = [{"block": block, "template": words} for block, words in templates]
    return says({"reason": "r", "stop": False, "parameters": [], "templates": takes, "orders": orders})


def test_templates_are_tried_without_a_writer_and_the_best_for_the_whole_is_taken() -> None:
    with campaign(tries(("array", "lean"), ("array", "quick"), ("norm", "lean"), ("norm", "quick"))) as (
        result,
        server,
    ):
        assert len(server.asked) == 1
        assert text_of(result, "array").startswith("// quick")
        assert text_of(result, "norm").startswith("// lean"), "the norm is quick enough as it is"


def test_a_template_that_is_no_better_leaves_the_block_as_it_is() -> None:
    script = (tries(("array", "quick"), ("norm", "quick")), order(stop=True))
    with campaign(*script, rounds=3) as (result, server):
        assert text_of(result, "array").startswith("// quick")
        assert text_of(result, "norm").startswith("// plain")
        tried = prompt(server, 1).partition("Other blocks that were measured")[2].partition("Where its cycles")[0]
        assert "array: plain: " in tried
        assert "norm: quick (not simulated yet): " in tried


def test_a_template_that_does_not_exist_is_an_answer_to_be_repaired() -> None:
    with campaign(tries(("array", "magic")), order(stop=True)) as (_, server):
        assert "no template 'magic' of array" in server.asked[1][1]["messages"][-1]["content"]
    with campaign(tries(("array", "quick stages=3")), order(stop=True), name="other") as (_, server):
        assert "array quick has no such options: stages=3" in server.asked[1][1]["messages"][-1]["content"]


def test_a_writer_begins_from_the_template_that_its_order_names() -> None:
    one = {"block": "array", "template": "lean", "intent": "make it quick"}
    with campaign(tries(orders=(one,)), swap("array", "lean", "quick")) as (result, server):
        assert "// lean\nmodule array;" in prompt(server, 1)
        assert "It begins from the template lean: the files below are its" in prompt(server, 1)
        assert text_of(result, "array").startswith("// quick")


def test_a_template_that_is_tried_is_not_what_a_written_block_is_judged_with() -> None:
    """Its figures are not the round's, nor is a fault of it the block's above it."""
    one = {"block": "matrix_unit", "intent": "make it quick"}
    script = (tries(("array", "broken"), orders=(one,)), swap("matrix_unit", "plain", "quick"))
    with campaign(*script) as (result, server):
        assert "array, written in this round" not in prompt(server, 1)
        assert result.status.revisions == 2
        made = api.revision_design(result.status.name, "r1") / "rtl"
        assert (made / "matrix_unit.v").read_text().startswith("// quick")
        assert (made / "array.v").read_text().startswith("// plain")


def test_more_memory_or_multipliers_than_the_budgets_allow_are_neither_offered_nor_taken() -> None:
    with campaign(order(WORDS=4096), order(T=16, D=4), order(stop=True)) as (_, server):
        assert "WORDS 1024: 2048 is over the budget" in prompt(server, 0)
        assert "64 KiB of scratchpad are over the budget of 16" in server.asked[1][1]["messages"][-1]["content"]


def test_templates_are_counted_as_what_they_take_at_most() -> None:
    many = [(block, name) for block in contracts.names() for name in ("lean", "quick")]
    one = {"block": "array", "intent": "quicker"}
    with campaign(tries(*many, orders=(one,) * 3), order(stop=True), evaluations=200) as (_, server):
        told = server.asked[1][1]["messages"][-1]["content"]
        assert "3 orders, 28 templates and 0 blocks at changed parameters would have to be verified" in told
    script = (tries(*many[:12], orders=(one,)), swap("array", "plain", "quick"))
    with campaign(*script, evaluations=200, name="other") as (result, server):
        assert len(server.asked) == 2
        assert result.status.spent.evaluations <= 200


def test_a_mix_over_the_area_budget_is_not_taken_where_there_is_another() -> None:
    """The quick array alone would make the whole the fastest, and too large."""
    costs = {"plain": BlockCost(100, 9), "quick": BlockCost(200, 3), "lean": BlockCost(110, 8)}
    offered = [Candidate(WorkOrder(2, "array", name), {}, {}, True, (), cost, 1) for name, cost in costs.items()]
    spec = SPEC.model_copy(update={"objective": "delay", "budgets": SPEC.budgets.model_copy(update={"area_um2": 150})})
    context = Context(spec, 0, 2, None, (), tuple(offered), (), (), 9)
    assert _best_mix(context, {"array": offered})["array"].order.variant == "lean"


def test_a_planner_sees_where_cycles_go_and_what_parameters_would_change() -> None:
    with campaign(order(stop=True)) as (_, server):
        shown = prompt(server, 0)
        stable = shown.partition("## Best design so far")[0]
        assert "T=4 D=4 (64 MACs): " in stable
        assert "The array has a beat in 62 %" in shown
        assert "without one it waits for: load 25 %, fill 12 %." in shown
        assert "scores 16250 (60% beats, waits most for load)" in shown
        assert "- ACT_LANES 1: 2 gives 12250 cycles (-24.6%)" in shown
        assert "VECTOR_PARAMS" in shown.partition("no change by one step: ")[2]


@given(block=st.sampled_from(contracts.names()), data=st.data())
def test_every_choice_is_named_by_its_words(block: str, data: st.DataObject) -> None:
    library = TemplateLibrary()
    choice = data.draw(st.sampled_from(library.choices(block)))
    assert chosen(library, block, choice.described) == choice
    assert chosen(library, block, choice.variant).options == next(
        other.options for other in library.choices(block) if other.variant == choice.variant
    )


def test_an_order_without_expectations_gives_no_lesson() -> None:
    cost = BlockCost(10, 2)
    assert expectations.of_block(measured(cost), cost) == ""
    assert expectations.of_cycles([WorkOrder(1, "array")], 5, 6) == ""


def measured(cost: BlockCost, note: str = "") -> Candidate:
    return Candidate(WorkOrder(1, "array"), {}, {}, True, (), cost, 1, note=note)


def test_what_a_writer_says_of_its_block_becomes_a_lesson_with_what_was_measured() -> None:
    said = "array: area measured -10.0 %, period measured +0.0 % (one adder is shared)"
    assert expectations.of_block(measured(BlockCost(9, 2), "one adder is shared"), BlockCost(10, 2)) == said
    edit = {"name": "array.v", "search": "// plain", "replace": "// quick"}
    answer = says({"files": [], "edits": [edit], "note": "the sum is\x1b[31m registered"})
    with campaign(order("array"), answer, order(stop=True), rounds=3) as (result, server):
        assert "period measured -40.0 % (the sum is registered)" in prompt(server, 2)
        kept = api.Campaign.open(result.status.name)
        assert {c.note for c in kept.ledger.candidates(before=9) if c.order.round} == {"the sum is registered"}


def test_a_planner_can_build_on_another_design_of_the_archive() -> None:
    lean = (order("array"), swap("array", "plain", "lean"))
    script = (*lean, hopeful("requantizer", "r0"), swap("requantizer", "plain", "quick"))
    with campaign(*script, rounds=3) as (result, server):
        assert "Archive" in prompt(server, 2)
        found = api.revisions(result.status.name)
        made = (api.revision_design(result.status.name, "r2") / "rtl" / "array.v").read_text()
        assert len(found) == 3
        assert made.startswith("// plain")


def test_an_unknown_parent_is_an_answer_to_be_repaired() -> None:
    with campaign(hopeful("array", "r7"), order(stop=True)) as (result, server):
        assert "no measured design 'r7': name one of r0" in server.asked[1][1]["messages"][-1]["content"]
        assert "stopped by the planner" in result.why


def test_the_best_of_several_drafts_is_taken() -> None:
    script = (order("array"), swap("array", "plain", "lean"), swap("array", "plain", "quick"))
    with campaign(*script, drafts=2) as (result, server):
        assert len(server.asked) == 3
        assert text_of(result, "array").startswith("// quick")
        assert sum("take another way" in prompt(server, number) for number in (1, 2)) == 1


def test_drafts_are_as_many_as_there_is_room_for() -> None:
    orders = [WorkOrder(1, "array"), WorkOrder(1, "norm")]
    assert [o.draft for o in drafted(orders, 3, 5)] == [0, 0, 1, 1]
    assert [o.draft for o in drafted(orders, 3, 1)] == [0, 0]
    assert len({o.key for o in drafted(orders, 3, 9)}) == 6


def run_toy(folder: Path, **options: object) -> CampaignResult:
    making = partial(designer, ToyModel(), folder / "asked")
    return api.start_campaign(
        SPEC, designer="llm", model="chat:toy@http://127.0.0.1:9/v1", evaluators=ToyEvaluator, designers=making,
        **options,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize("part", omissions.OMISSIONS)
def test_every_part_can_be_gone_without(part: str, tmp_path: Path) -> None:
    result = run_toy(tmp_path, without=(part,), budget=Budget(rounds=3))
    asked = transcripts.read(result.status.folder / "exchanges")
    roles = {role.name for role in asked.roles}
    assert ("planner" in roles) == (part not in ("planner", "roles"))
    assert ("verifier" in roles) == (part not in ("condensation", "roles"))
    if "planner" in roles:
        said = [path.read_text() for path in (result.status.folder / "exchanges").iterdir()]
        assert any("was refused by" in text for text in said) == (part != "lessons")


def test_orders_by_rule_take_the_largest_and_the_slowest_in_turn() -> None:
    with campaign(rounds=1) as (result, _):
        folder = api.Campaign.open(result.status.name)
        known = folder.ledger.candidates(before=9)
        context = Context(SPEC, 0, 1, result.accepted, (), tuple(known), (), (), 99)
        first = omissions.planned(context, told=False)
        second = omissions.planned(replace(context, round=2), told=True)
        folder.close()
    sizes = {c.block: c.cost for c in known if c.cost}
    assert first.orders[0].block == max(sizes, key=lambda b: sizes[b].area_um2)
    assert second.orders[0].block == max(sizes, key=lambda b: sizes[b].period_ns)
    assert "Best design so far" in second.orders[0].intent


def test_an_unknown_part_to_go_without_is_one_line() -> None:
    with pytest.raises(InputError, match="nothing called 'sleep' to go without"):
        api.start_campaign(SPEC, designer="llm", without=("sleep",), evaluators=ToyEvaluator)


def test_ablation_runs_every_arm_at_the_same_budget_and_goes_on_where_it_was(tmp_path: Path) -> None:
    begun = []

    def start(spec: object, **options: object) -> CampaignResult:
        begun.append(options["name"])
        options.pop("designer"), options.pop("model")
        return run_toy(tmp_path, **options)

    again = partial(
        api.resume_campaign, evaluators=ToyEvaluator, designers=partial(designer, ToyModel(), tmp_path / "asked")
    )
    budget = Budget(rounds=2)
    arms = partial(ablation.compare, SPEC, "", budget, 0, ("lessons", "roles"), "a", silent, start, again)
    first = next(arms())
    found = list(arms())
    assert begun == ["a-full", "a-no-lessons", "a-no-roles"]
    assert found[0] == first
    assert [arm.without for arm in found] == ["nothing", "lessons", "roles"]
    assert found[2].calls < found[0].calls
    assert all(arm.gain and arm.gain <= 1 for arm in found)


def test_the_search_designer_is_compared_at_as_many_evaluations_as_the_team_spent(tmp_path: Path) -> None:
    begun = {}

    def start(spec: object, **options: object) -> CampaignResult:
        begun[options["name"]] = dict(options)
        if options.pop("designer") == "search":
            return api.start_campaign(SPEC, evaluators=ToyEvaluator, designers=toy_designer, **options)  # type: ignore[arg-type]
        options.pop("model")
        return run_toy(tmp_path, **options)

    budget = Budget(rounds=2)
    team, search = ablation.compare(SPEC, "", budget, 0, ("models",), "a", silent, start)
    assert list(begun) == ["a-full", "a-no-models"]
    assert begun["a-no-models"]["budget"] == Budget(rounds=1000, evaluations=team.spent.evaluations)
    assert search.spent.evaluations <= team.spent.evaluations
    assert (search.calls, search.without) == (0, "models")
    assert ablation.arms(())[-1] == "models"


def test_a_transcript_counts_repairs_and_edits_that_did_not_apply(tmp_path: Path) -> None:
    bad = swap("array", "no such text", "quick")
    with campaign(order("array"), bad, swap("array", "plain", "quick")) as (result, _):
        found = transcripts.read(result.status.folder / "exchanges")
    assert (found.calls, found.repairs, found.edits, found.rejected_edits) == (3, 1, 2, 1)
    assert next(iter(found.causes)).startswith("edit of array.v: the search text occurs … times")
    assert {role.name: role.calls for role in found.roles} == {"planner": 1, "rtl_writer": 2}
    (tmp_path / "odd.json").write_text(json.dumps([1]))
    assert transcripts.read(tmp_path).calls == 0
