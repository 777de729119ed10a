"""Every role's prompt, rendered for every block at its largest, and how long it is."""

from __future__ import annotations

import pytest

from agents.designers import BlockCost, Candidate, Context, Files, WorkOrder
from agents.designers.llm import planner_values
from agents.ledger import LESSONS_KEPT
from agents.records import Cost, Fact, Figures, GateOutcome, Revision
from agents.roles import prompts
from agents.roles.condense import FAULTS, condense
from agents.workshop import LESSON_CHARACTERS
from hwlib import contracts, templates
from hwlib.spec import Spec
from hwlib.templates.render import module_header

BYTES_A_TOKEN = 3
"""Of Verilog and English, or more: no tokenizer makes more of them."""
MOST_TOKENS = 24_000
MOST_WORDS = 330
"""Of a role's system prompt, the schema left out: a prompt that is read whole."""


def largest(block: str) -> Files:
    """The files of the block's longest variant."""
    rendered = [templates.render(block, variant) for variant in templates.variants(block)]
    return max(rendered, key=lambda files: sum(map(len, files.values())))


def refused(block: str) -> GateOutcome:
    """As much as a gate can say."""
    word = "data=0x" + "5a" * 500
    interfaces = [interface.name for interface in contracts.load(block).interfaces]
    facts = tuple(Fact("x" * 4000, f"{block}.v", 7, name, 3, word, word[:-1] + "b", word) for name in interfaces)
    return GateOutcome("simulate", block, False, tuple("y" * 4000 for _ in facts), facts=facts)


def tokens(messages: tuple[prompts.Message, ...]) -> float:
    return sum(len(message.text.encode()) for message in messages) / BYTES_A_TOKEN


@pytest.mark.parametrize("block", contracts.names())
def test_the_writers_longest_prompt_is_bounded(block: str) -> None:
    contract = contracts.load(block)
    findings = [*condense(refused(block), contract), *["z" * 600] * (2 * FAULTS)]
    values = {"contract": contract, "header": module_header(contract), "intent": "i" * 500, "rounds": 4}
    asked = prompts.render("rtl_writer", findings=findings, files=largest(block), **values)
    assert tokens(asked) < MOST_TOKENS
    for said in (contract.behaviour.strip(), contract.throughput, contract.latency, module_header(contract)):
        assert said in asked[1].text
    assert all(text in asked[1].text for text in largest(block).values())


@pytest.mark.parametrize("block", contracts.names())
def test_the_verifiers_longest_prompt_is_bounded(block: str) -> None:
    contract, outcome = contracts.load(block), refused(block)
    seen = [(outcome, condense(outcome, contract))]
    asked = prompts.render(
        "verifier",
        block=block,
        intent="i" * 500,
        outcomes=seen,
        contract=contract,
        files=largest(block),
        scenarios=("a", "b"),
    )
    assert tokens(asked) < MOST_TOKENS
    assert contract.behaviour.strip() in asked[1].text


def test_the_planners_longest_prompt_is_bounded() -> None:
    """After thirty rounds, with all the lessons there can be."""
    figures = Figures(1e6, 5.0, 3.0, 10_000, 50.0, 1.0, 0.5, 0.1)
    parts = tuple(
        Candidate(WorkOrder(0, block, intent="i" * 300), {}, {}, True, (), BlockCost(1e5, 4.0), 1)
        for block in contracts.names()
    )
    blocks = {part.block: part.id for part in parts}
    rounds = tuple(
        Revision(
            str(n), None, "", n, "measured", "planner", "m", "", "r" * 300, {"T": 4}, {}, blocks, (), figures, Cost()
        )
        for n in range(30)
    )
    lessons = ("l" * LESSON_CHARACTERS,) * LESSONS_KEPT
    rejections = tuple((str(n), "too slow an array" * 5) for n in range(20))
    context = Context(Spec(name="toy"), 0, 30, rounds[0], rounds, parts, lessons, rejections, 9)
    assert tokens(prompts.render("planner", **planner_values(context))) < MOST_TOKENS


@pytest.mark.parametrize("role", ["planner", "rtl_writer", "verifier"])
def test_what_a_role_is_told_is_short(role: str) -> None:
    text = (prompts.FOLDER / role / "system.md.j2").read_text()
    assert len(text.split()) < MOST_WORDS
    assert "{{ schema }}" in text
