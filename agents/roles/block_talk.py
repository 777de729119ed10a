"""The conversation on one block order: the RTL writer and the verifier take turns in it.

Each request repeats the one before and adds to its end, so that a provider's cache holds nearly all of it. Superseded
texts of files stay where they were said: to take one out at once changes what stands before all later messages, costs
as much input as it saves, and leaves far less cached (`tests/benchmarks/prompt_cache.py` measures both). A turn that
would make the conversation too long gives an empty one instead: then it is said anew, once, with the block as it is and
a line for each answer's files (`shorter`), or if that is still long, opened afresh.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TypeVar

from pydantic import ValidationError

from agents.designers import Files, WorkOrder
from agents.models import Message, Model, Request
from agents.records import GateOutcome
from agents.roles import bounds, prompts
from agents.roles.answers import BlockAnswer
from agents.roles.ask import Said, ask
from agents.tools.use import CALLS
from hwlib import contracts
from hwlib.design import platform_files
from hwlib.templates.render import module_header

Messages = tuple[Message, ...]
R = TypeVar("R")
ANEW = 0.6
"""Of the longest request, what a conversation said anew may take: it should last for some turns."""
_UNREADABLE = 300
"""Bytes that are kept of an answer that was no answer."""


def turn(model: Model, role: str, order: WorkOrder, messages: Messages, accept: Callable[[BlockAnswer], R]) -> Said[R]:
    """Ask the role for its turn; see `ask`."""
    request = Request(
        role, prompts.version(role), messages, prompts.schema(role), round=order.round, block=order.block,
        order=order.key,
    )  # fmt: skip
    return ask(model, request, BlockAnswer, accept)


def opened(
    order: WorkOrder, files: Files, findings: Sequence[str], aim: str, *, writing: bool, tools: str = ""
) -> Messages:
    """A new conversation: contract, order, what to aim at and the block as it is; `writing`: the writer is asked, told
    of `tools`."""
    contract = contracts.load(order.block)
    return prompts.begin(
        "rtl_writer", contract=contract, header=module_header(contract), aim=aim, files=files, writing=writing,
        intent=order.intent, start=order.start, expected=order.expected, draft=order.draft, tools=tools, calls=CALLS,
        findings=bounds.shortened(findings), cells=", ".join(path.stem for path in platform_files()),
        long=sum(len(text.encode("utf-8", "replace")) for text in files.values()) > bounds.EDITED,
    )  # fmt: skip


def shorter(talk: Messages, opening: Messages) -> Messages:
    """`talk` begun anew by `opening`, which holds the files as they now are, with one line for those in each answer;
    empty if that would leave little room to go on."""
    if not talk:
        return ()
    later = (*opening, *(_told(message) if message.role == "assistant" else message for message in talk[2:]))
    return later if bounds.size(later, prompts.schema("rtl_writer")) <= ANEW * bounds.MOST_BYTES else ()


def _told(message: Message) -> Message:
    """An answer without the text of its files and edits: what was said of them, the calls and the findings stay."""
    try:
        answer = BlockAnswer.model_validate_json(message.text)
    except ValidationError:
        return Message("assistant", bounds.head(message.text, _UNREADABLE) or "(empty)")
    parts = [f"{file.name} whole" for file in answer.files] + [f"{edit.name} edited" for edit in answer.edits]
    parts += [f"{name} removed" for name in answer.removed]
    if not parts:
        return message
    note = f"{answer.note} ({', '.join(dict.fromkeys(parts))}: the first message has the files as they now are)".strip()
    brief = answer.model_copy(update={"files": [], "edits": [], "removed": [], "note": note})
    return Message("assistant", brief.model_dump_json(exclude_defaults=True))


def mended(talk: Messages, findings: Sequence[str], tools: str) -> Messages:
    """`talk` with the writer asked to mend, and told of `tools`; findings that were said already are not said again."""
    heard = "\n".join(message.text for message in talk)
    fresh = [finding for finding in bounds.shortened(findings) if not _in(finding, heard)]
    text = prompts.turn("rtl_writer", "turn", findings=fresh, tools=tools)
    return _further(talk, "rtl_writer", text)


def _in(finding: str, heard: str) -> bool:
    """Whether it was said, with or without the gate's name before it, or within an answer's JSON."""
    gate, _, rest = finding.partition(": ")
    return any(
        text in heard for text in (finding, json.dumps(finding)[1:-1], *([rest] if rest and " " not in gate else []))
    )


def judged(talk: Messages, outcomes: Sequence[tuple[GateOutcome, Sequence[str]]], scenarios: Sequence[str]) -> Messages:
    """`talk` with the verifier asked to read what the gates said: outcomes, each with its condensed findings.
    scenarios: those of the bench that a proposed test may vary."""
    shown = [(outcome, bounds.shortened(findings)) for outcome, findings in outcomes]
    return _further(talk, "verifier", prompts.turn("verifier", "turn", outcomes=shown, scenarios=scenarios))


def answered(talk: Messages, results: str) -> Messages:
    """`talk` with the results of the writer's tools."""
    return _further(talk, "rtl_writer", results)


def _further(talk: Messages, role: str, text: str) -> Messages:
    """`talk` with one more message of the user's; empty if there is no talk, or it would not fit."""
    if not talk:
        return ()
    if talk[-1].role == "user":
        last = Message("user", f"{talk[-1].text}\n{text}", talk[-1].stable)
        messages = (*talk[:-1], last)
    else:
        messages = (*talk, Message("user", text))
    return messages if bounds.fits(messages, prompts.schema(role)) else ()
