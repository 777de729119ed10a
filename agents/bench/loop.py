"""Writer and verifier on one problem: a text, what was seen of it, findings, a mended text; a bounded number of times.

One conversation, each request repeating the one before and adding to its end, so that a provider's cache serves it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agents.bench import Grade, Problem
from agents.bench.answers import SuiteAnswer
from agents.bench.refuse import MOST_BYTES
from agents.designers import Unanswered
from agents.models import Message, Model, Request
from agents.models.team import Team
from agents.roles import bounds, prompts
from agents.roles.ask import Said, ask

_FENCED = re.compile(r"\s*```\w*[ \t]*\r?\n(?P<text>(?:.*?\n)?)[ \t]*```\s*", re.DOTALL)
WRITER, VERIFIER = "suite_writer", "suite_verifier"
Messages = tuple[Message, ...]


@dataclass(frozen=True)
class Seen:
    """What was seen of a text on each simulator. `settled`: the suite's bench itself passed it, nothing is left to do;
    without, a text that nothing speaks against is still read by the verifier."""

    grades: tuple[Grade, ...]
    settled: bool = False

    @property
    def clean(self) -> bool:
        return all(grade.passed for grade in self.grades)


Look = Callable[[str], Seen]
"""Looks at a text: compiles it, or runs it in the bench."""


@dataclass(frozen=True)
class Solved:
    """The text handed in, empty if no usable answer came; how many texts were written, and why there is none."""

    text: str
    texts: int
    why: str = ""


def solve(team: Team, problem: Problem, look: Look, repairs: int) -> Solved:
    """Write `problem`, mended at most `repairs` times. Each text of a cascade of writers is the next one's."""
    text, why, texts = "", "", 0
    talk = _opened(problem)
    for number in range(repairs + 1):
        try:
            said = _write(team.writer[min(number, len(team.writer) - 1)], problem, talk, number)
        except Unanswered as error:
            why = str(error)
            if number + 1 < len(team.writer):
                continue
            break
        text, talk, texts = said.value, said.messages, texts + 1
        seen = look(text)
        if number == repairs or seen.settled:
            break
        read = _read(team.verifier, problem, talk, text, seen, number)
        if seen.clean and not read.value:
            break
        facts = [f"{grade.simulator}: {grade.detail}" for grade in seen.grades if not grade.passed]
        talk = _mended(problem, read.messages, text, bounds.shortened([*facts, *read.value]))
    return Solved(text, texts, "" if text else why)


def _opened(problem: Problem, text: str = "", findings: Sequence[str] = ()) -> Messages:
    """A new conversation; with a text, about mending it."""
    room = bounds.head(problem.specification, bounds.MOST_BYTES // 3)
    return prompts.begin(WRITER, specification=room, text=text, findings=findings)


def _write(model: Model, problem: Problem, talk: Messages, number: int) -> Said[str]:
    request = Request(
        WRITER, prompts.version(WRITER), talk, prompts.schema(WRITER), round=number, block=problem.name,
        order=problem.name,
    )  # fmt: skip
    return ask(model, request, SuiteAnswer, _accept)


def _accept(answer: SuiteAnswer) -> str:
    """The text, out of the fence that models put round code; ValueError for none, or one that cannot be stored."""
    fenced = _FENCED.fullmatch(answer.text)
    text = fenced["text"] if fenced else answer.text
    if not text.strip():
        raise ValueError("text is empty: it must hold the whole answer")
    if len(text.encode("utf-8", "replace")) > MOST_BYTES:
        raise ValueError(f"text is longer than {MOST_BYTES} bytes")
    if any((ord(c) < 32 and c not in "\t\n\r\f") or 0xD800 <= ord(c) < 0xE000 for c in text):
        raise ValueError("text holds characters that no Verilog has")
    return text


def _read(model: Model, problem: Problem, talk: Messages, text: str, seen: Seen, number: int) -> Said[list[str]]:
    """The verifier's findings; none if it gives no usable answer."""
    words = prompts.turn(VERIFIER, "turn", grades=seen.grades)
    messages = _further(talk, words) or _joined(_opened(problem, text), words)
    request = Request(
        VERIFIER, prompts.version(VERIFIER), messages, prompts.schema(VERIFIER), round=number, block=problem.name,
        order=problem.name,
    )  # fmt: skip
    try:
        return ask(model, request, SuiteAnswer, lambda answer: list(answer.findings))
    except Unanswered:
        return Said([], talk)


def _joined(talk: Messages, words: str) -> Messages:
    return (*talk[:-1], Message("user", f"{talk[-1].text}\n{words}", talk[-1].stable))


def _mended(problem: Problem, talk: Messages, text: str, findings: Sequence[str]) -> Messages:
    further = _further(talk, prompts.turn(WRITER, "turn", findings=findings))
    return further or _opened(problem, text, findings)


def _further(talk: Messages, text: str) -> Messages:
    """`talk` with a message more; empty if that would be too long."""
    messages = (*talk, Message("user", text))
    return messages if bounds.fits(messages, prompts.schema(WRITER)) else ()
