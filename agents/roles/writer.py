"""The RTL writer at work: it answers with files and edits, or asks for tools first, a few times an order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

from pydantic import ValidationError

from agents.designers import Files, WorkOrder
from agents.models import Message, Model
from agents.roles import block_talk, bounds, prompts
from agents.roles.answers import BlockAnswer
from agents.roles.ask import DoesNotFit, Said
from agents.roles.block_talk import Messages
from agents.roles.edits import apply
from agents.tools import Call
from agents.tools.aim import wanted
from agents.tools.desk import Desk
from agents.tools.readable import UNREAD, unread
from agents.tools.templates import UseTemplate
from agents.tools.use import CALLS, cut, use
from hwlib.errors import InputError, plain

ROLE = "rtl_writer"
RESULTS = 16_000
"""Characters of the results of one answer's calls."""
REFUSED = "Nothing of that answer was done: "
"""How the message begins that asks again after an answer that does not apply."""
MENDINGS = 2
"""Times in an attempt that a writer is given back what it hands in, since policy or lint refuse it, before that counts
as the attempt."""
NOT_TAKEN = "Not handed in. "
"""How the message then begins."""


@dataclass(frozen=True)
class HandedIn:
    """A block, and what its writer says was changed in it and why that pays."""

    files: Files
    note: str = ""


@dataclass(frozen=True)
class _Turn:
    """What an answer makes of the draft, and what it asks for."""

    draft: Files
    answer: BlockAnswer
    refused: str = ""
    """Why nothing of it was done; it is asked again."""


def write(
    model: Model, order: WorkOrder, parent: Files, findings: Sequence[str], desk: Desk, talk: Messages
) -> Said[HandedIn]:
    """The block's files with the writer's word on them, and the conversation up to them: `talk` goes on in it, unless
    that has become too long.

    Files and edits that come with calls become the draft that the tools see. Raises Unanswered if no usable answer
    comes, or none that hands the block in.
    """
    left = desk.campaign.settings.tool_rounds
    draft = parent
    checks = desk.campaign.settings.tool_checks - _spent(talk)
    mendings = MENDINGS
    tools, aimed = turns_left(left, checks), wanted(desk)
    fresh = block_talk.opened(order, parent, findings, aimed, writing=True, tools=tools)
    messages = (
        block_talk.mended(talk, findings, tools)
        or block_talk.mended(_shorter(talk, order, parent, aimed), findings, tools)
        or fresh
    )
    while True:
        accept = partial(_accept, draft=draft, parent=parent, block=order.block, tools=left > 0)
        try:
            said = block_talk.turn(model, ROLE, order, messages, accept)
        except DoesNotFit:
            if messages is fresh:
                raise
            messages = fresh = block_talk.opened(order, draft, findings, aimed, writing=True, tools=tools)
            continue
        turn, draft = said.value, said.value.draft
        seat = replace(desk, draft=draft)
        handed = not turn.answer.calls and not turn.refused
        unreadable = unread(seat) if handed and left and mendings else ""
        if handed and not unreadable:
            return Said(HandedIn(draft, plain(turn.answer.note, bounds.REASON)), said.messages)
        left, mendings = left - 1, mendings - bool(unreadable)
        results = f"{NOT_TAKEN}{unreadable}\n" if unreadable else _results(turn, seat)
        checks -= _spent((said.messages[-1], Message("user", results)))
        results = f"{results}\n{turns_left(left, checks)}"
        messages = (
            block_talk.answered(said.messages, results)
            or block_talk.answered(_shorter(said.messages, order, draft, aimed), results)
            or _anew(block_talk.opened(order, draft, findings, aimed, writing=True), turn.answer, results)
        )


def _shorter(talk: Messages, order: WorkOrder, files: Files, aimed: str) -> Messages:
    """The talk said anew with `files` as they now are."""
    return block_talk.shorter(talk, block_talk.opened(order, files, (), aimed, writing=True))


def _anew(opening: Messages, asked: BlockAnswer, results: str) -> Messages:
    """The prompt said anew, with the draft in it; then the calls alone, and as much of their results as has room."""
    calls = Message("assistant", BlockAnswer(calls=asked.calls).model_dump_json())
    room = bounds.MOST_BYTES - bounds.size((*opening, calls), prompts.schema(ROLE))
    return (*opening, calls, Message("user", bounds.head(results, max(room, 0)) or "(no room for results)"))


def _accept(answer: BlockAnswer, draft: Files, parent: Files, block: str, tools: bool) -> _Turn:
    """The draft after the answer, before any tool runs; ValueError, where no round is left, says what is refused."""
    try:
        if answer.calls and not tools:
            raise ValueError("no tools are left: answer with the block's files or edits, and no calls")
        begun = _begun(answer, draft, block)
        same = all(begun.get(file.name) == file.text for file in answer.files)
        said_again = same and not answer.edits and not answer.removed
        changed = begun if said_again else apply(answer, begun, block)
        if not answer.calls and (changed == parent or not changed):
            raise ValueError("nothing was changed")
    except ValueError as error:
        if not tools:
            raise
        return _Turn(draft, answer, str(error))
    return _Turn(changed, answer)


def _begun(answer: BlockAnswer, draft: Files, block: str) -> Files:
    """What files and edits apply to: the template the answer asks for, else the draft."""
    asked = [call for call in answer.calls[:CALLS] if isinstance(call, UseTemplate)]
    if len(asked) > 1:
        raise ValueError("use_template twice in an answer: the draft is one template")
    try:
        return asked[0].files(block) if asked else draft
    except InputError as error:
        raise ValueError(str(error)) from error


def _results(turn: _Turn, desk: Desk) -> str:
    """What the calls gave, one after the other, within bounds; of a refused answer why."""
    parts = [f"{REFUSED}{turn.refused}\n"] if turn.refused else []
    for number, call in enumerate([] if turn.refused else turn.answer.calls):
        room = max(0, RESULTS - sum(map(len, parts)))
        text = cut(use(call, desk), room) if number < CALLS else f"refused: at most {CALLS} calls in an answer"
        parts.append(f"## {_named(call)}\n{text}\n")
    return "\n".join(parts)


def _spent(talk: Messages) -> int:
    """How many drafts were judged in a talk; counted from what was said, so that a resumed one reads the same."""
    return sum(_judged(said.text, told.text) for said, told in pairwise(talk) if said.role == "assistant")


def _judged(said: str, told: str) -> int:
    """How many an answer had judged, told so: not those that could not be read, nor any of a refused answer."""
    try:
        calls = BlockAnswer.model_validate_json(said).calls
    except ValidationError:
        return 0
    return 0 if told.startswith(REFUSED) else max(0, sum(call.judges for call in calls) - told.count(UNREAD))


def turns_left(rounds: int, checks: int) -> str:
    """What of the tools is left to an order, in words for the writer."""
    if not rounds:
        return "No tools are left: hand the block in (an answer with nothing in it hands in the draft as it is)."
    return (
        f"You may ask for tools {rounds} more times, with {max(0, checks)} checks and syntheses in all. "
        "An answer with nothing in it hands in the draft as it is."
    )


def _named(call: Call) -> str:
    """The call as it is spoken of: the tool and its arguments."""
    return plain(" ".join(str(value) for value in call.model_dump(mode="json").values()), 200)
