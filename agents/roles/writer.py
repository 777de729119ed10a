"""The RTL writer at work: it answers with files and edits, or asks for tools first, a few times an order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from agents.designers import Files, WorkOrder
from agents.models import Message, Model
from agents.roles import prompts
from agents.roles.answers import WriterAnswer
from agents.roles.ask import ask
from agents.roles.edits import apply
from agents.tools import Call
from agents.tools.desk import Desk
from agents.tools.use import cut, use
from hwlib.contracts.schema import Contract
from hwlib.errors import plain
from hwlib.templates.render import module_header

ROLE = "rtl_writer"
CALLS = 4
"""Tools used in one answer at most; further calls are not made."""
RESULTS, LEAST = 16_000, 2_000
"""Characters of the results of one answer's calls: at most, and even where there is no room."""
ROOM = 68_000
"""Bytes of a request, about 23,000 tokens. Where results might not fit, the prompt is said anew, with the draft in it
and without what was said before."""


@dataclass(frozen=True)
class _Turn:
    """What an answer makes of the draft, and what it asks for."""

    draft: Files
    answer: WriterAnswer
    refused: str = ""
    """Why nothing of it was done; it is asked again."""


def write(
    model: Model, order: WorkOrder, contract: Contract, parent: Files, findings: Sequence[str], desk: Desk
) -> Files:
    """The block's files. Files and edits that come with calls become the draft that the tools see; an answer that does
    not apply is told so, and takes a round.

    Raises Unanswered if no usable answer comes, or none that hands the block in.
    """
    rounds = left = desk.campaign.settings.tool_rounds
    values = {"contract": contract, "header": module_header(contract), "intent": order.intent,
              "findings": list(findings), "rounds": rounds}  # fmt: skip
    draft, shown = parent, parent
    said: tuple[Message, ...] = ()
    while True:
        accept = partial(_accept, draft=draft, parent=parent, block=order.block, tools=left > 0)
        turn = ask(model, ROLE, WriterAnswer, accept, round_=order.round, after=said, files=shown, **values)
        if not turn.answer.calls and not turn.refused:
            return turn.draft
        draft, left = turn.draft, left - 1
        spoken = Message("assistant", turn.answer.model_dump_json())
        if _length(shown, values, (*said, spoken)) + RESULTS > ROOM:
            calls = WriterAnswer(files=[], edits=[], calls=turn.answer.calls)
            shown, said, spoken = draft, (), Message("assistant", calls.model_dump_json())
        said = (*said, spoken)
        room = min(RESULTS, ROOM - _length(shown, values, said))
        said = (*said, _results(turn, replace(desk, draft=draft), left, max(LEAST, room)))


def _length(files: Files, values: dict[str, Any], said: tuple[Message, ...]) -> int:
    """Bytes of the request with these files and what was said since."""
    messages = (*prompts.render(ROLE, files=files, **values), *said)
    return sum(len(message.text.encode()) for message in messages)


def _accept(answer: WriterAnswer, draft: Files, parent: Files, block: str, tools: bool) -> _Turn:
    """The draft after the answer, before any tool runs; ValueError, where no round is left, says what is refused."""
    try:
        if answer.calls and not tools:
            raise ValueError("no tools are left: answer with the block's files or edits, and no calls")
        changed = apply(answer, draft, block) if answer.files or answer.edits else draft
        if not answer.calls and (changed == parent or not changed):
            raise ValueError("nothing was changed")
    except ValueError as error:
        if not tools:
            raise
        return _Turn(draft, answer, str(error))
    return _Turn(changed, answer)


def _results(turn: _Turn, desk: Desk, left: int, most: int) -> Message:
    """What the calls gave, one after the other, within bounds; of a refused answer why."""
    parts = [f"Nothing of that answer was done: {turn.refused}\n"] if turn.refused else []
    for number, call in enumerate([] if turn.refused else turn.answer.calls):
        room = max(0, most - sum(map(len, parts)))
        text = cut(use(call, desk), room) if number < CALLS else f"refused: at most {CALLS} calls in an answer"
        parts.append(f"## {_named(call)}\n{text}\n")
    parts.append(f"You may ask for tools {left} more times." if left else "No tools are left: hand the block in.")
    return Message("user", "\n".join(parts))


def _named(call: Call) -> str:
    """The call as it is spoken of: the tool and its arguments."""
    return plain(" ".join(str(value) for value in call.model_dump(mode="json").values()), 200)
