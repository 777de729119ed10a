"""The RTL writer's use of tools, in campaigns against a server that answers by role."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from agents import api
from agents.campaign import Campaign
from agents.designers.llm import LlmDesigner
from agents.designers.space import Space
from agents.evaluator import Evaluator
from agents.models.meter import Metered
from agents.models.openai_chat import OpenAIChat
from agents.models.prices import FREE
from agents.models.record import Recorded
from agents.models.retry import Retrying
from agents.records import Budget, GateOutcome
from agents.roles.bounds import MOST_BYTES as ROOM
from hwlib import templates
from hwlib.design import Design
from tests.agents.fake_server import Answer, Server, serving
from tests.agents.stand_in import SPEC, ToyEvaluator, ToyLibrary
from tests.agents.test_llm import campaign, order, says, swap, text_of


def asks(
    *calls: dict[str, str], edits: tuple[tuple[str, str], ...] = (), files: dict[str, str] | None = None
) -> Answer:
    """An answer that asks for tools; edits are of array.v's first line."""
    return says(
        {
            "files": [{"name": name, "text": text} for name, text in (files or {}).items()],
            "edits": [{"name": "array.v", "search": old, "replace": new} for old, new in edits],
            "calls": list(calls),
        }
    )


def hands_in() -> Answer:
    return says({"files": [], "edits": [], "calls": []})


def results(server: Server, number: int) -> str:
    """The last message of the request with that number: what the tools gave."""
    text: str = server.asked[number][1]["messages"][-1]["content"]
    return text


def uses(folder: Any) -> list[tuple[str, int]]:
    """Tools booked in the campaign's ledger: kind and evaluations."""
    opened = Campaign(folder)
    try:
        return opened.ledger._rows("select kind, evaluations from charges where key like 'tool/%' order by kind")  # type: ignore[return-value]
    finally:
        opened.close()


CHECK = {"tool": "check_draft"}


def test_a_writer_checks_its_draft_and_mends_it_before_it_hands_it_in() -> None:
    script = (
        order("array"),
        asks(CHECK, edits=(("// plain", "// broken"),)),
        asks(CHECK, {"tool": "synthesise_draft"}, edits=(("// broken", "// quick"),)),
        hands_in(),
    )
    with campaign(*script) as (result, server):
        assert len(server.asked) == 4
        assert "simulate: refused\n- cycle 3: acc.data is 1, expected 2" in results(server, 2)
        assert "simulate: passed" in results(server, 3)
        assert "built on: area" in results(server, 3)
        assert text_of(result, "array").startswith("// quick")
        assert uses(result.status.folder) == [("check_draft", 1), ("check_draft", 1), ("synthesise_draft", 1)]
        told = next(text for text in (results(server, n) for n in (2, 3)) if "by module" in text)
        assert "by module, each mapped by itself (um2): array_lane 4 times " in told


def test_a_draft_is_handed_in_as_it_is_by_an_empty_answer_or_said_again() -> None:
    quick = "// quick\nmodule array;\nendmodule\n"
    for last in (hands_in(), asks(files={"array.v": quick})):
        with campaign(order("array"), asks(CHECK, files={"array.v": quick}), last, name=f"n{id(last)}") as (
            result,
            server,
        ):
            assert len(server.asked) == 3
            assert "with 5 checks and syntheses in all" in results(server, 2)
            assert text_of(result, "array") == quick


def test_reading_is_free_and_the_prompt_stays_a_prefix() -> None:
    reads = [
        {"tool": "read_contract", "block": "requantizer"},
        {"tool": "read_numerics", "name": "requantize"},
        {"tool": "list_earlier", "block": "array"},
        {"tool": "compare"},
    ]
    with campaign(order("array"), asks(*reads), swap("array", "plain", "quick")) as (result, server):
        shown = results(server, 2)
        assert "T lanes of pipelined requantization" in shown
        assert "def requantize(" in shown
        assert "000-array-" in shown
        assert "(built on)" in shown
        assert "cycles, objective" in shown
        assert {evaluations for _, evaluations in uses(result.status.folder)} == {0}
        first, second = (server.asked[number][1]["messages"] for number in (1, 2))
        assert second[: len(first)] == first
        assert [message["role"] for message in second[len(first) :]] == ["assistant", "user"]


def test_a_platform_cell_has_a_contract_too_and_the_limit_of_calls_is_said() -> None:
    cells = [{"tool": "read_contract", "block": name} for name in ("sram_1r1w", "isa_decode", "exp2_table", "array")]
    with campaign(order("array"), asks(*cells, cells[0]), swap("array", "plain", "quick")) as (_, server):
        shown = results(server, 2)
        assert "input  wire [ADDR_BITS-1:0]     read_addr," in shown
        assert "module isa_decode (" in shown
        assert "module exp2_table (" in shown
        assert "always" not in shown.partition("## read_contract array")[0]
        assert "refused: at most 4 calls in an answer" in shown
        system = server.asked[1][1]["messages"][0]["content"]
        assert "with `calls`, at most 4, asks for tools" in " ".join(system.split())


def test_where_results_would_not_fit_the_prompt_is_said_anew_with_the_draft() -> None:
    long = "// quick\nmodule array;\n" + "// a line of the draft\n" * 2060 + "endmodule\n"
    reads = [{"tool": "read_contract", "block": block} for block in ("matrix_unit", "vector_unit", "sequencer")]
    script = (order("array"), asks(*reads), asks(CHECK, files={"array.v": long}), hands_in())
    with campaign(*script) as (result, server):
        kept, anew = (server.asked[number][1]["messages"] for number in (2, 3))
        assert len(kept) == len(anew) == 4
        assert "// plain" in kept[1]["content"]
        assert long in anew[1]["content"]
        assert "a line of the draft" not in anew[2]["content"]
        assert "simulate: passed" in anew[3]["content"]
        assert sum(len(message["content"]) for message in anew) < ROOM
        assert text_of(result, "array") == long


def test_a_talk_that_would_be_too_long_goes_on_with_the_newest_text_of_a_file_alone() -> None:
    texts = [f"// quick\nmodule array;\n// version {n}\n" + "// a line\n" * 1500 + "endmodule\n" for n in range(4)]
    turns = [asks({"tool": "compare"}, files={"array.v": text}) for text in texts]
    with campaign(order("array"), *turns, hands_in()) as (result, server):
        before, after = (server.asked[number][1]["messages"] for number in (4, 5))
        said = "\n".join(message["content"] for message in after)
        assert [f"// version {n}" in said for n in range(4)] == [False, False, False, True]
        assert said.count("array.v whole: the first message has the files as they now are") == 4
        assert said.count("## compare") == 4
        assert after[0] == before[0]
        first, anew = (each[1]["content"].partition("## Current files")[0] for each in (before, after))
        assert anew == first
        assert len(said) < ROOM / 2
        assert text_of(result, "array") == texts[3]


def test_tools_are_offered_a_bounded_number_of_times() -> None:
    read = asks({"tool": "compare"})
    script = (order("array"), read, read, read, read, read, swap("array", "plain", "quick"))
    with campaign(*script) as (result, server):
        assert "No tools are left" in results(server, 5)
        assert "no tools are left" in results(server, 6)
        assert text_of(result, "array").startswith("// quick")


def test_checks_of_an_order_are_bounded_and_the_same_draft_is_judged_once() -> None:
    steps = ["plain", "lean", "quick", "lean", "plain", "quick"]
    drafts = [asks(CHECK, CHECK, edits=((f"// {old}", f"// {new}\n//"),)) for old, new in itertools.pairwise(steps)]
    with campaign(order("array"), *drafts[:4], swap("array", "plain", "quick")) as (result, _):
        assert [kind for kind, _ in uses(result.status.folder)] == ["check_draft"] * 4
        assert text_of(result, "array").startswith("// quick")


@pytest.mark.parametrize(
    ("files", "edits", "complaint"),
    [
        ({"norm.v": "module norm; endmodule\n"}, (), "file name 'norm.v': use array.v"),
        ({"../array.v": "x"}, (), "file name '../array.v'"),
        ({"array_x.v": "x", "/etc/passwd": "y"}, (), "file name '/etc/passwd'"),
        ({}, (("no such text", "x"),), "occurs 0 times, not once"),
        ({"array.v": "// \x00"}, (), "holds characters"),
    ],
)
def test_what_is_outside_the_order_is_refused_before_a_tool_runs(
    files: dict[str, str], edits: tuple[tuple[str, str], ...], complaint: str
) -> None:
    script = (order("array"), asks(CHECK, files=files, edits=edits), swap("array", "plain", "quick"))
    with campaign(*script) as (result, server):
        assert complaint in results(server, 2)
        assert uses(result.status.folder) == []
        assert text_of(result, "array").startswith("// quick")


def test_wrong_arguments_of_a_tool_are_a_line_of_the_result() -> None:
    calls = [
        {"tool": "read_contract", "block": "../templates/catalog"},
        {"tool": "read_numerics", "name": "os"},
        {"tool": "read_template", "block": "array", "variant": "none", "file": "array.v"},
        {"tool": "read_earlier", "candidate": "x", "file": "y"},
    ]
    with campaign(order("array"), asks(*calls), swap("array", "plain", "quick")) as (_, server):
        shown = results(server, 2)
        assert shown.count("\nrefused: ") == 4
        assert "no contract '../templates/catalog'" in shown
        assert "no numerics 'os'" in shown


def test_a_template_becomes_the_draft_that_edits_apply_to() -> None:
    first = "// array: "
    begin = {"tool": "use_template", "template": "pipelined"}
    change = says({"edits": [{"name": "array.v", "search": first, "replace": f"// quick\n{first}"}]})
    with campaign(order("array"), asks(begin), change) as (result, server):
        assert "## use_template pipelined" in results(server, 2)
        assert f"### array.v\n{first}" in results(server, 2)
        made = text_of(result, "array")
        assert made == "// quick\n" + templates.render("array", "pipelined")["array.v"]


def test_a_template_with_an_edit_that_does_not_apply_leaves_the_draft() -> None:
    begin = {"tool": "use_template", "template": "pipelined"}
    for refused in (asks(begin, edits=(("nowhere", "x"),)), asks(begin, begin)):
        script = (order("array"), refused, swap("array", "plain", "quick"))
        with campaign(*script, name=f"n{id(refused)}") as (result, server):
            assert "Nothing of that answer was done: " in results(server, 2)
            assert text_of(result, "array").startswith("// quick")


def test_a_template_that_there_is_not_is_told_and_leaves_the_draft() -> None:
    script = (order("array"), asks({"tool": "use_template", "template": "magic"}), swap("array", "plain", "quick"))
    with campaign(*script) as (result, server):
        assert "Nothing of that answer was done: template: no template 'magic' of array" in results(server, 2)
        assert text_of(result, "array").startswith("// quick")


def test_an_unknown_tool_is_an_answer_to_be_repaired() -> None:
    with campaign(order("array"), asks({"tool": "shell"}), swap("array", "plain", "quick")) as (_, server):
        assert "calls.0" in results(server, 2)


def test_edits_that_do_not_apply_are_told_and_mended() -> None:
    lost = swap("array", "nowhere", "quick")
    with campaign(order("array"), lost, lost, swap("array", "plain", "quick")) as (result, server):
        assert len(server.asked) == 4
        assert "Nothing of that answer was done: edit of array.v" in results(server, 3)
        assert "You may ask for tools 2 more times, with 6 checks" in results(server, 3)
        assert text_of(result, "array").startswith("// quick")


def removes(*names: str, **more: Any) -> Answer:
    return says({"files": [], "edits": [], "removed": names, "calls": [], **more})


def test_a_file_the_block_no_longer_needs_is_taken_out() -> None:
    both = {"array.v": "// lean\nmodule array;\nendmodule\n", "array_cell.v": "// cell\n"}
    edit = {"name": "array.v", "search": "// lean", "replace": "// quick"}
    script = (order("array"), asks(CHECK, files=both), removes("array_cell.v", edits=[edit]))
    with campaign(*script) as (result, server):
        assert len(server.asked) == 3
        assert text_of(result, "array").startswith("// quick")
        assert result.design is not None
        assert not (result.design / "rtl" / "array_cell.v").exists()


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (removes("array_cell.v"), "removal of 'array_cell.v': there is no such file, only array.v"),
        (removes("norm.v"), "removal of 'norm.v': there is no such file"),
        (removes("../array.v"), "removal of '../array.v': there is no such file"),
        (removes("array.v"), "there is no array.v"),
        (removes("array.v", files=[{"name": "array.v", "text": "// quick"}]), "the same answer writes it"),
    ],
)
def test_a_removal_that_cannot_be_is_told(answer: Answer, complaint: str) -> None:
    with campaign(order("array"), answer, swap("array", "plain", "quick")) as (result, server):
        assert complaint in results(server, 2)
        assert text_of(result, "array").startswith("// quick")


def test_edits_that_never_apply_give_the_block_up() -> None:
    lost = swap("array", "nowhere", "quick")
    with campaign(order("array"), *[lost] * 6) as (result, server):
        assert len(server.asked) == 7
        assert result.accepted is not None
        assert result.accepted.round == 0
        assert any("occurs 0 times, not once" in lesson for lesson in result.status.lessons)


FIRST = 14 * 4 + 10
"""Evaluations of the first round: every block's gates and synthesis, the whole's gates and measurement."""


def test_a_round_is_planned_with_room_for_the_writers_checks() -> None:
    script = (order("array"), asks(CHECK, edits=(("// plain", "// quick"),)), hands_in())
    room = 4 * 3 + 6 + 5 + 10
    with campaign(*script, evaluations=FIRST + room) as (result, server):
        assert "simulate: passed" in results(server, 2)
        assert json.loads(server.asked[2][1]["messages"][-2]["content"])["calls"] == [CHECK]
        assert text_of(result, "array").startswith("// quick")
    with campaign(evaluations=FIRST + room - 1, name="short") as (result, server):
        assert server.asked == []
        assert "too few evaluations" in result.why


class Dying(ToyEvaluator):
    """The judge of a process that is killed while it checks a draft."""

    def check_quick(self, design: Design, block: str) -> tuple[GateOutcome, ...]:
        raise KeyboardInterrupt


def test_a_kill_in_a_tool_loses_no_answer_and_pays_nothing_twice() -> None:
    script = (order("array"), asks(CHECK, edits=(("// plain", "// quick"),)), hands_in())
    with campaign(*script, name="whole") as (whole, _):
        pass
    with serving(*script) as server:

        def designer(campaign: Campaign, evaluator: Evaluator) -> LlmDesigner:
            model = Recorded(Retrying(OpenAIChat("m", server.url + "/v1"), lambda s: None), campaign.exchanges)
            metered = Metered(model, campaign.ledger, campaign.settings.budget, {"chat:m": FREE})
            return LlmDesigner(metered, ToyLibrary(), Space(campaign.spec, evaluator.model_cycles))

        with pytest.raises(KeyboardInterrupt):
            api.start_campaign(SPEC, designer="llm", budget=Budget(rounds=2), evaluators=Dying, designers=designer)
        assert len(server.asked) == 2
        result = api.resume_campaign("toy", evaluators=ToyEvaluator, designers=designer)
        assert len(server.asked) == 3
    assert text_of(result, "array") == text_of(whole, "array")
    assert result.accepted is not None
    assert whole.accepted is not None
    assert result.accepted.tree_hash == whole.accepted.tree_hash
    assert result.status.spent.evaluations == whole.status.spent.evaluations
