"""The conversation on one block order: the RTL writer and the verifier take turns in it.

Each request repeats the one before and adds to its end, so that a provider's cache holds nearly all of it. A turn that
would make it too long gives an empty conversation instead: then a new one is opened with the block as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TypeVar

from agents.designers import Files, WorkOrder
from agents.models import Message, Model, Request
from agents.records import GateOutcome
from agents.roles import bounds, prompts
from agents.roles.answers import BlockAnswer
from agents.roles.ask import Said, ask
from hwlib import contracts
from hwlib.templates.render import module_header

Messages = tuple[Message, ...]
R = TypeVar("R")


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
        "rtl_writer", contract=contract, header=module_header(contract), intent=order.intent, draft=order.draft,
        aim=aim, findings=bounds.shortened(findings), files=files, writing=writing, tools=tools,
        long=sum(len(text.encode("utf-8", "replace")) for text in files.values()) > bounds.EDITED,
    )  # fmt: skip


def mended(talk: Messages, findings: Sequence[str], tools: str) -> Messages:
    """`talk` with the writer asked to mend, and told of `tools`; findings that were said already are not said again."""
    heard = "\n".join(message.text for message in talk)
    fresh = [finding for finding in findings if not _in(finding, heard)]
    text = prompts.turn("rtl_writer", "turn", findings=bounds.shortened(fresh), tools=tools)
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
