"""The RTL writer at work: it answers with files and edits, or asks for tools first, a few times an order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from agents.designers import Files, WorkOrder
from agents.models import Message, Model
from agents.roles.answers import WriterAnswer
from agents.roles.ask import ask
from agents.roles.edits import apply
from agents.tools import Call
from agents.tools.desk import Desk
from agents.tools.use import cut, use
from hwlib.contracts.schema import Contract
from hwlib.templates.render import module_header

CALLS = 4
"""Tools used in one answer at most; further calls are not made."""
RESULTS = 16_000
"""Characters of the results of one answer's calls."""
CONVERSATION = 30_000
"""Characters of answers and results after the prompt; past them the prompt is said anew, with the draft in it."""


@dataclass(frozen=True)
class _Turn:
    """What an answer makes of the draft, and what it asks for."""

    draft: Files
    answer: WriterAnswer


def write(
    model: Model, order: WorkOrder, contract: Contract, parent: Files, findings: Sequence[str], desk: Desk
) -> Files:
    """The block's files. Files and edits that come with calls become the draft that the tools see.

    Raises Unanswered if no usable answer comes, or none that hands the block in.
    """
    rounds = left = desk.campaign.settings.tool_rounds
    draft, shown = parent, parent
    said: tuple[Message, ...] = ()
    while True:
        accept = partial(_accept, draft=draft, parent=parent, block=order.block, tools=left > 0)
        turn = ask(
            model, "rtl_writer", WriterAnswer, accept, round_=order.round, after=said, contract=contract,
            header=module_header(contract), intent=order.intent, findings=list(findings), files=shown, rounds=rounds,
        )  # fmt: skip
        if not turn.answer.calls:
            return turn.draft
        draft, left = turn.draft, left - 1
        results = _results(turn.answer.calls, replace(desk, draft=draft), left)
        said = (*said, Message("assistant", turn.answer.model_dump_json()), results)
        if sum(len(message.text) for message in said) > CONVERSATION:
            calls = WriterAnswer(files=[], edits=[], calls=turn.answer.calls)
            shown, said = draft, (Message("assistant", calls.model_dump_json()), results)


def _accept(answer: WriterAnswer, draft: Files, parent: Files, block: str, tools: bool) -> _Turn:
    """The draft after the answer, before any tool runs; ValueError says what about it is refused."""
    if answer.calls and not tools:
        raise ValueError("no tools are left: answer with the block's files or edits, and no calls")
    changed = apply(answer, draft, block) if answer.files or answer.edits else draft
    if not answer.calls and (changed == parent or not changed):
        raise ValueError("nothing was changed")
    return _Turn(changed, answer)


def _results(calls: Sequence[Call], desk: Desk, left: int) -> Message:
    """What the calls gave, one after the other, within bounds."""
    parts: list[str] = []
    for number, call in enumerate(calls):
        room = RESULTS - sum(map(len, parts))
        text = cut(use(call, desk), room) if number < CALLS else f"refused: at most {CALLS} calls in an answer"
        parts.append(f"## {_named(call)}\n{text}\n")
    parts.append(f"You may ask for tools {left} more times." if left else "No tools are left: hand the block in.")
    return Message("user", "\n".join(parts))


def _named(call: Call) -> str:
    """The call as it is spoken of: the tool and its arguments."""
    return " ".join(str(value) for value in call.model_dump(mode="json").values())
