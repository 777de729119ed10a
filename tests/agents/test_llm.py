"""The LLM designer in whole campaigns, over HTTP, against a server that answers by role."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agents import api
from agents.campaign import Campaign
from agents.designers import WorkOrder
from agents.designers.llm import LlmDesigner
from agents.designers.space import Space
from agents.evaluator import Evaluator
from agents.models.meter import Metered
from agents.models.openai_chat import OpenAIChat
from agents.models.prices import FREE, Price
from agents.models.record import Recorded
from agents.models.retry import Retrying
from agents.records import Budget, CampaignResult
from agents.roles import answers, block_talk, prompts
from hwlib import contracts
from hwlib.errors import InputError
from tests.agents.fake_server import Answer, Server, serving
from tests.agents.stand_in import SPEC, ToyEvaluator, ToyLibrary
from tests.agents.test_models import chat_body


def says(answer: object) -> Answer:
    return Answer(chat_body(json.dumps(answer)))


def order(*blocks: str, stop: bool = False, **parameters: int) -> Answer:
    settings = [{"name": name, "value": value} for name, value in parameters.items()]
    orders = [{"block": block, "intent": f"make {block} quick"} for block in blocks]
    return says({"reason": "the array is slow", "stop": stop, "parameters": settings, "orders": orders})


def swap(block: str, old: str, new: str) -> Answer:
    return says({"files": [], "edits": [{"name": f"{block}.v", "search": f"// {old}", "replace": f"// {new}"}]})


@contextmanager
def campaign(
    *script: Answer, rounds: int = 2, name: str = "toy", drafts: int = 1, price: Price = FREE, **budget: Any
) -> Iterator[tuple[CampaignResult, Server]]:
    """Run a campaign against `script`."""
    with serving(*script) as server:

        def designer(campaign: Campaign, evaluator: Evaluator) -> LlmDesigner:
            model = Recorded(Retrying(OpenAIChat("m", server.url + "/v1"), lambda s: None), campaign.exchanges)
            metered = Metered(model, campaign.ledger, campaign.settings.budget, {"chat:m": price})
            return LlmDesigner(
                metered, ToyLibrary(), Space(campaign.spec, evaluator.model_cycles, evaluator.cycle_use), drafts=drafts
            )

        limits = Budget(rounds=rounds, **budget)
        yield (
            api.start_campaign(
                SPEC, designer="llm", budget=limits, name=name, evaluators=ToyEvaluator, designers=designer
            ),
            server,
        )


def prompt(server: Server, number: int) -> str:
    return "\n".join(message["content"] for message in server.asked[number][1]["messages"])


def text_of(result: CampaignResult, block: str) -> str:
    assert result.design is not None
    return (result.design / "rtl" / f"{block}.v").read_text()


def test_a_planned_and_written_block_is_accepted() -> None:
    with campaign(order("array"), swap("array", "plain", "quick")) as (result, server):
        assert result.accepted is not None
        assert result.accepted.round == 1
        assert text_of(result, "array").startswith("// quick")
        assert len(server.asked) == 2
        assert "area_delay" in prompt(server, 0)
        assert "| array | plain |" in prompt(server, 0)
        assert "acc[r][c]" in prompt(server, 1)
        assert "make array quick" in prompt(server, 1)
        assert result.status.spent.tokens == 34
        assert (result.accepted.role, result.accepted.model) == ("planner", "chat:m")
        assert result.accepted.prompt_version == prompts.version("planner")


def test_a_refused_block_goes_back_with_the_verifiers_findings() -> None:
    finding = says({"findings": ["array.v:1: write quick, not broken"]})
    script = (order("array"), swap("array", "plain", "broken"), finding, swap("array", "broken", "quick"))
    with campaign(*script) as (result, server):
        assert text_of(result, "array").startswith("// quick")
        mending = prompt(server, 3)
        assert "cycle 3: acc.data is 1, expected 2" in mending
        assert "write quick, not broken" in mending
        assert "// broken" in mending


def test_a_verifier_without_findings_gives_the_block_up() -> None:
    script = (order("array"), swap("array", "plain", "broken"), says({"findings": []}))
    with campaign(*script) as (result, server):
        assert len(server.asked) == 3
        assert any("refused by simulate" in lesson for lesson in result.status.lessons)


def test_repairs_are_bounded_and_the_best_stays() -> None:
    finding = says({"findings": ["no"]})
    longer = [swap("array", "broken\n", "broken\n//\n"), swap("array", "broken\n//\n", "broken\n")]
    script = [order("array"), swap("array", "plain", "broken"), finding, longer[0], finding, longer[1]]
    with campaign(*script, finding) as (result, _):
        assert result.accepted is not None
        assert result.accepted.round == 0
        assert any("refused by simulate" in lesson for lesson in result.status.lessons)


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (Answer(chat_body("no json at all")), "Invalid JSON"),
        (Answer(chat_body("")), "it was empty"),
        (Answer(chat_body('{"reason"', "length")), "cut off"),
        (order("arrow"), "there is no block 'arrow'"),
        (order("array", T=3), "break a rule"),
        (order("array", Q=4), "unknown parameter 'Q'"),
    ],
)
def test_an_unusable_answer_is_repaired_once(bad: Answer, complaint: str) -> None:
    with campaign(bad, order("array"), swap("array", "plain", "quick")) as (result, server):
        assert result.accepted is not None
        assert result.accepted.round == 1
        assert complaint in server.asked[1][1]["messages"][-1]["content"]


def test_two_unusable_plans_end_with_the_best_so_far() -> None:
    with campaign(Answer(chat_body("no")), Answer(chat_body("no"))) as (result, _):
        assert "gave no usable answer" in result.why
        assert result.status.state == "accepted"


def test_a_refusing_model_gives_the_block_up() -> None:
    with campaign(order("array"), Answer(chat_body(None, "stop", refusal="no"))) as (result, _):
        assert result.accepted is not None
        assert result.accepted.round == 0
        assert any("refused to answer" in lesson for lesson in result.status.lessons)


def test_a_fenced_answer_is_read() -> None:
    text = json.dumps({"files": [{"name": "array.v", "text": "// quick\n"}], "edits": []})
    fenced = Answer(chat_body(f"```json\n{text}\n```"))
    with campaign(order("array"), fenced) as (result, _):
        assert text_of(result, "array") == "// quick\n"


def test_new_parameters_carry_the_other_blocks_over() -> None:
    with campaign(order(ACT_LANES=4)) as (result, server):
        assert result.accepted is not None
        assert (result.accepted.round, result.accepted.parameters["ACT_LANES"]) == (1, 4)
        assert len(server.asked) == 1


def test_the_planner_can_stop() -> None:
    with campaign(order(stop=True)) as (result, _):
        assert result.why == "stopped by the planner: the array is slow"


def test_a_token_budget_is_hard() -> None:
    dear = order("array")
    dear.body["usage"] = {"prompt_tokens": 9_000, "completion_tokens": 1_000, "total_tokens": 10_000}
    with campaign(dear, swap("array", "plain", "quick"), tokens=26_000, rounds=5) as (result, server):
        assert len(server.asked) == 1
        assert result.status.spent.tokens == 10_000
        assert any("budget: 26000 tokens" in lesson for lesson in result.status.lessons)
        assert result.why == "budget: 26000 tokens"
        assert result.accepted is not None


def test_a_money_budget_is_hard() -> None:
    """It pays for the longest answer once; what the first one took is then lacking."""
    price, script = Price(input=0.001, output=10), (order("array"), swap("array", "plain", "quick"))
    with campaign(*script, price=price, money_usd=0.16001, rounds=5) as (result, server):
        assert len(server.asked) == 1
        assert result.status.spent.money_usd == pytest.approx(5e-5, rel=1e-3)
        assert result.why == "budget: 0.16 USD"
        assert result.accepted is not None
        assert result.accepted.round == 0


def test_every_exchange_is_kept() -> None:
    with campaign(order("array"), swap("array", "plain", "quick")) as (result, _):
        kept = [json.loads(path.read_text()) for path in (result.status.folder / "exchanges").iterdir()]
        assert {exchange["request"]["purpose"] for exchange in kept} == {"planner", "rtl_writer"}


def test_the_llm_designer_needs_a_model_and_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with pytest.raises(InputError, match="the llm designer needs a model"):
        api.start_campaign(SPEC, designer="llm", evaluators=ToyEvaluator)
    with pytest.raises(InputError, match="ANTHROPIC_API_KEY: no API key"):
        api.start_campaign(SPEC, designer="llm", model="anthropic:m", name="other", evaluators=ToyEvaluator)


@pytest.mark.parametrize(
    ("role", "answer"),
    [("planner", answers.PlannerAnswer), ("rtl_writer", answers.BlockAnswer), ("verifier", answers.BlockAnswer)],
)
def test_the_schemas_under_prompts_are_those_of_the_answers(role: str, answer: type[answers.PlannerAnswer]) -> None:
    assert prompts.schema(role) == answers.schema_of(answer)


@pytest.mark.parametrize("block", contracts.names())
def test_the_writers_prompt_renders_for_every_block(block: str) -> None:
    order = WorkOrder(1, block, intent="write it")
    system, user = block_talk.opened(order, {}, ["a"], "aim: less area", writing=True)
    assert contracts.load(block).behaviour.strip() in user.text[: user.stable]
    assert "write it" in user.text[user.stable :]
    assert '"properties"' not in system.text


def test_a_change_of_a_prompt_changes_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "planner"
    folder.mkdir()
    (folder / "prompt.yaml").write_text("version: 1\n")
    (folder / "user.md.j2").write_text("one")
    monkeypatch.setattr(prompts, "FOLDER", tmp_path)
    first = prompts.version("planner")
    (folder / "user.md.j2").write_text("two")
    assert first.startswith("planner/1-")
    assert prompts.version("planner") != first


def test_a_rejected_first_design_is_built_on_and_the_reason_goes_to_the_planner() -> None:
    with serving(order("array"), swap("array", "plain", "quick")) as server:

        def designer(campaign: Campaign, evaluator: Evaluator) -> LlmDesigner:
            model = Recorded(Retrying(OpenAIChat("m", server.url + "/v1"), lambda s: None), campaign.exchanges)
            metered = Metered(model, campaign.ledger, campaign.settings.budget, {"chat:m": FREE})
            return LlmDesigner(metered, ToyLibrary(), Space(campaign.spec, evaluator.model_cycles))

        limits = Budget(rounds=2)
        api.start_campaign(
            SPEC, designer="llm", budget=limits, evaluators=ToyEvaluator, designers=designer, review="wait"
        )
        (waiting,) = api.pending_reviews("toy")
        api.record_decision("toy", waiting.revision.revision, False, "too slow an array", waiting.revision.tree_hash)
        result = api.resume_campaign("toy", evaluators=ToyEvaluator, designers=designer)
        assert result.status.state == "waiting"
        (second,) = api.pending_reviews("toy")
        assert second.revision.round == 1
        assert (api.revision_design("toy", "r1") / "rtl" / "array.v").read_text().startswith("// quick")
        assert "too slow an array" in prompt(server, 0)
        assert "// plain" in prompt(server, 1)
